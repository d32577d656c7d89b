package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/human"
	"nightjar/mysqldump/account"
	"nightjar/mysqldump/server"
)

// elsewhere are the engines whose rows are not in the server, and of which only definitions are dumped.
var elsewhere = []string{"FEDERATED", "SPIDER", "CONNECT", "BLACKHOLE", "MRG_MYISAM", "OQGRAPH", "SEQUENCE", "VIEW"}

func lookAtEngines(ctx context.Context, l *look) (found []Finding, err error) {
	transactional := map[string]bool{}
	err = l.Query(ctx, "SELECT ENGINE, TRANSACTIONS FROM information_schema.ENGINES", func(row [][]byte) error {
		transactional[strings.ToUpper(string(row[0]))] = string(row[1]) == "YES"
		return nil
	})
	for _, t := range l.tables {
		engine := strings.ToUpper(t.engine)
		switch {
		case t.view || engine == "" || transactional[engine] || slices.Contains(elsewhere, engine):
		case engine == "MEMORY":
			found = append(found, Finding{Severity: Note, Object: t.String(), Says: "its engine is MEMORY: after a restart of the source its rows are gone there, and not on replicas",
				Do: "ALTER TABLE " + t.quoted() + " ENGINE=InnoDB;"})
		default:
			const bytesPerSecond = 100e6
			held := time.Duration(float64(t.bytes) / bytesPerSecond * float64(time.Second))
			long := ""
			if held >= time.Second {
				long = ", about " + human.Elapsed(held)
			}
			found = append(found, Finding{Severity: Warning, Object: t.String(), Says: fmt.Sprintf("its engine, %s, knows no transactions: writers wait while its %s are dumped%s; a crash leaves half of a statement",
				t.engine, human.Size(t.bytes), long), Do: "ALTER TABLE " + t.quoted() + " ENGINE=InnoDB;"})
		}
	}
	return found, err
}

func lookAtBroken(_ context.Context, l *look) (found []Finding, err error) {
	for _, t := range l.tables {
		switch {
		case t.view && t.comment != "VIEW" && t.comment != "":
			found = append(found, Finding{Severity: Problem, Object: t.String(), Says: "the view is broken, and a dump of it fails: " + t.comment, Do: "DROP VIEW " + t.quoted() + "; or make what it reads, or leave it out with --broken skip"})
		case !t.view && t.engine == "" && t.comment != "":
			found = append(found, Finding{Severity: Problem, Object: t.String(), Says: "the server cannot open the table: " + t.comment, Do: "REPAIR TABLE " + t.quoted() + "; (if that fails and its engine is MyISAM, REPAIR TABLE " + t.quoted() + " USE_FRM;), or bring it back from a backup, or leave it out with --broken skip"})
		}
	}
	return found, nil
}

// lookAtKeys names tables of which each row that changes is searched for from the first to the last by a replica.
func lookAtKeys(ctx context.Context, l *look) (found []Finding, err error) {
	keyed := map[string]bool{}
	err = l.Query(ctx, "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS WHERE NON_UNIQUE=0 AND TABLE_SCHEMA NOT IN "+own, func(row [][]byte) error {
		keyed[string(row[0])+"\x00"+string(row[1])] = true
		return nil
	})
	const large = 1 << 20
	for _, t := range l.tables {
		if !t.view && t.bytes > large && !keyed[t.database+"\x00"+t.name] {
			found = append(found, Finding{Severity: Note, Object: t.String(), Says: fmt.Sprintf("it has %s and no unique key: a replica reads all of it for each row that changes, and one worker dumps it", human.Size(t.bytes)),
				Do: "ALTER TABLE " + t.quoted() + " ADD PRIMARY KEY (...);"})
		}
	}
	return found, err
}

func lookAtOpaque(ctx context.Context, l *look) (found []Finding, err error) {
	encrypted := map[string]bool{}
	if l.mariadb() {
		err = l.Query(ctx, "SELECT NAME FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME>0", func(row [][]byte) error {
			encrypted[string(row[0])] = true
			return nil
		})
	}
	for _, t := range l.tables {
		options := strings.ToUpper(strings.NewReplacer("`", "", "'", "", `"`, "").Replace(t.options))
		how := ""
		switch {
		case strings.Contains(options, "ENCRYPTION=Y"), strings.Contains(options, "ENCRYPTED=YES"), encrypted[t.database+"/"+t.name]:
			how = "encrypted"
		case strings.Contains(options, "PAGE_COMPRESSED=1"), strings.Contains(options, "PAGE_COMPRESSED=ON"), strings.Contains(options, "COMPRESSION=ZLIB"), strings.Contains(options, "COMPRESSION=LZ4"), strings.Contains(options, "ROW_FORMAT=COMPRESSED"):
			how = "page-compressed"
		default:
			continue
		}
		found = append(found, Finding{Severity: Warning, Object: t.String(), Says: fmt.Sprintf("its pages are %s: one changed row changes whole pages, so that the next night's hot copy gains little from this one's (%s)", how, human.Size(t.bytes)),
			Do: "nothing, if the bytes do not matter; else dump it, since a dump reads rows"})
	}
	return found, err
}

func lookAtLong(ctx context.Context, l *look) (found []Finding, err error) {
	statement := fmt.Sprintf(`SELECT ID, USER, IFNULL(DB,''), TIME FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Query','Execute') AND ID<>CONNECTION_ID()
		AND USER NOT IN ('system user','event_scheduler') AND TIME>=%d ORDER BY TIME DESC`, int(l.o.Long.Seconds()))
	seen := map[string]bool{}
	err = l.Query(ctx, statement, func(row [][]byte) error {
		seen[string(row[0])] = true
		found = append(found, Finding{Severity: Warning, Object: "connection " + string(row[0]), Says: fmt.Sprintf("a statement of %s in database %q runs for %s s: the lock waits for it, or writers wait for both",
			row[1], row[2], row[3]), Do: "let it end first, or KILL " + string(row[0]) + ";"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := l.Exec(ctx, "SET SESSION time_zone='SYSTEM'"); err != nil { // InnoDB's times are in that
		return nil, err
	}
	err = l.Query(ctx, fmt.Sprintf(`SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, SYSDATE()), trx_rows_modified, IFNULL(COMMAND,'') FROM information_schema.INNODB_TRX
		LEFT JOIN information_schema.PROCESSLIST ON ID=trx_mysql_thread_id
		WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) AND trx_started < SYSDATE() - INTERVAL %d SECOND`, int(l.o.Long.Seconds())), func(row [][]byte) error {
		id := string(row[0])
		if seen[id] {
			return nil
		}
		advice := "let it end first, or KILL " + id + ";"
		if string(row[3]) == "Killed" { // a KILL of MySQL 5.7 often fails to wake a session that waits for its client
			advice = "it has been killed: let it undo its changes, or end its client, which the server may still wait for"
		}
		found = append(found, Finding{Severity: Warning, Object: "connection " + id, Says: fmt.Sprintf("a transaction is open for %s s with %s rows changed: it holds undo and table definitions, and DDL that waits for it holds back everybody", row[1], row[2]), Do: advice})
		return nil
	})
	if err == nil {
		err = l.Exec(ctx, "SET SESSION time_zone='+00:00'")
	}
	return found, err
}

func lookAtHistory(ctx context.Context, l *look) ([]Finding, error) {
	row, err := l.Row(ctx, "SHOW ENGINE INNODB STATUS")
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(row[len(row)-1]), "History list length ")
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	length, err := strconv.ParseUint(digits, 10, 64)
	if !found || err != nil {
		return one(Note, "InnoDB does not say how much undo it holds", "")
	}
	if length < l.o.History {
		return none()
	}
	return one(Warning, fmt.Sprintf("InnoDB holds undo of %d transactions, since a snapshot is open somewhere or purge does not keep up: a dump holds more, and reads are slow", length),
		"end the transactions that are open the longest (SELECT * FROM information_schema.INNODB_TRX ORDER BY trx_started LIMIT 3;), and wait until SHOW ENGINE INNODB STATUS shows less")
}

func lookAtPrepared(ctx context.Context, l *look) (found []Finding, err error) {
	rows, err := l.Rows(ctx, "XA RECOVER CONVERT XID")
	if server.Denied(err) {
		return one(Note, "the account may not see transactions that are prepared by XA and left: they hold locks, and are in no dump", "GRANT XA_RECOVER_ADMIN ON *.* TO "+account.Quote(l.account)+"; if you use XA")
	}
	if err != nil {
		if rows, err = l.Rows(ctx, "XA RECOVER"); err != nil {
			return nil, err
		}
	}
	for _, row := range rows {
		xid := row["data"]
		if !strings.HasPrefix(xid, "0x") {
			xid = fmt.Sprintf("0x%x", xid)
		}
		gtrid, bqual := split(strings.TrimPrefix(xid, "0x"), row["gtrid_length"])
		found = append(found, Finding{Severity: Warning, Object: "xid " + xid, Says: "a transaction is prepared, and nobody commits it: it holds locks, its rows are in no dump, and a replica may never get them",
			Do: fmt.Sprintf("XA COMMIT X'%s',X'%s',%s; or XA ROLLBACK with the same", gtrid, bqual, row["formatID"])})
	}
	return found, nil
}

// split splits hex digits after a number of bytes.
func split(digits, length string) (before, after string) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || 2*n > len(digits) {
		return digits, ""
	}
	return digits[:2*n], digits[2*n:]
}
