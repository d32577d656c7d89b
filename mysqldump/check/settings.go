package check

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/human"
	"nightjar/mysqldump/server"
)

func lookAtCluster(ctx context.Context, l *look) ([]Finding, error) {
	what, err := l.Cluster(ctx)
	if err != nil || what == "" {
		return nil, err
	}
	return one(Problem, "the server is a member of a cluster by "+what+", which is refused: a lock would hold back all its members, and positions are of one member alone",
		"make an ordinary asynchronous replica of a member, and back that up")
}

func lookAtBinlog(_ context.Context, l *look) ([]Finding, error) {
	if l.on("log_bin") {
		return none()
	}
	severity := Warning
	if l.o.is(Binlog, Replica) || l.o.is(Hot) && !l.mariadb() { // clones are proven by their position
		severity = Problem
	}
	return one(severity, "the server keeps no binary log: a backup has no position, no replica can follow, and changes since the last backup are lost with the disk",
		restart("log_bin=mysql-bin", "server_id=N (any number that no other server of yours has)"))
}

// lookAtKeeping names the logs that newer servers keep in ways that are refused.
func lookAtKeeping(_ context.Context, l *look) (found []Finding, err error) {
	k := server.KeepingOf(l.variables)
	if err := k.BinaryLogFiles(); err != nil {
		found = append(found, Finding{Severity: Problem, Object: "binlog_storage_engine", Says: err.Error() + ", which is refused: nightjar has met no such server yet, and every position it takes has an offset in a file",
			Do: "back up a replica of the server that keeps its binary log in files; or here, " + restart("log_bin=mysql-bin, and no binlog_storage_engine") +
				" (binary logs from before are ignored from then on: back up at once, and let replicas catch up first)"})
	}
	if err := k.RedoFiles(); err != nil && l.o.is(Hot) {
		found = append(found, Finding{Severity: Problem, Object: "innodb_log_archive", Says: err.Error() + ", so that a hot backup is refused: whether a program copies all of them is not known", Do: set("innodb_log_archive", "OFF")})
	}
	return found, nil
}

func lookAtServerID(_ context.Context, l *look) ([]Finding, error) {
	if !l.on("log_bin") && !l.o.is(Binlog, Replica) {
		return none() // nobody can replicate from it, whatever its number
	}
	do := "choose a number that no other server of yours has: " + set("server_id", "N")
	switch l.number("server_id") {
	case 0:
		return one(Problem, "server_id is 0: the server refuses replicas", do)
	case 1:
		return one(Warning, "server_id is 1, as every server has it that nobody gave one: two servers with one id break replication between them", do)
	}
	return none()
}

func lookAtFormat(_ context.Context, l *look) ([]Finding, error) {
	do := set("binlog_format", "ROW") + " (sessions that are open keep the old one)"
	switch format := l.variables["binlog_format"]; {
	case !l.on("log_bin"), format == "", strings.EqualFold(format, "ROW"):
		return none()
	case strings.EqualFold(format, "MIXED"):
		return one(Warning, "binlog_format is MIXED: a replica runs some statements again instead of taking their rows, and can come to other rows", do)
	default:
		return one(Problem, "binlog_format is "+format+": a replica runs statements again, and those with UUID(), LIMIT or a trigger come to other rows there, without an error", do)
	}
}

func lookAtRowImage(_ context.Context, l *look) ([]Finding, error) {
	image := l.variables["binlog_row_image"]
	if image == "" || strings.HasPrefix(strings.ToUpper(image), "FULL") {
		return none()
	}
	return one(Warning, "binlog_row_image is "+image+": a replica finds rows by what was logged of them, which fails where its keys differ, and no change can be undone from the log",
		set("binlog_row_image", "FULL"))
}

// expiry returns for how long binary logs are kept; 0: for ever.
func (l *look) expiry() (keep time.Duration, option string) {
	seconds, option := l.number("binlog_expire_logs_seconds"), "binlog_expire_logs_seconds"
	if l.has("binlog_expire_logs_auto_purge") && !l.on("binlog_expire_logs_auto_purge") {
		return 0, option
	}
	if days := l.number("expire_logs_days"); seconds == 0 {
		seconds = days * 86400
		if days > 0 || !l.has(option) {
			option = "expire_logs_days"
		}
	}
	return time.Duration(seconds) * time.Second, option
}

func lookAtExpiry(_ context.Context, l *look) (found []Finding, err error) {
	if !l.on("log_bin") {
		return none()
	}
	keep, option := l.expiry()
	enough := 3 * l.o.Every
	value := strconv.FormatFloat(enough.Seconds(), 'f', 0, 64)
	if option == "expire_logs_days" {
		value = strconv.FormatFloat(math.Ceil(enough.Hours()/24), 'f', 0, 64)
	}
	kept, every := human.Age(keep), human.Age(l.o.Every)
	do := "keep them for three backups: " + set(option, value)
	switch {
	case keep == 0:
		found, _ = one(Note, "binary logs are never deleted, until the disk is full", "keep them for some backups: "+set(option, strconv.Itoa(max(7, int(math.Ceil(enough.Hours()/24)))*secondsOrDays(option))))
	case keep < l.o.Every:
		found, _ = one(Problem, fmt.Sprintf("binary logs are deleted after %s, and a backup is made every %s: a replica made of the last backup asks for logs that are gone (error 1236)", kept, every), do)
	case keep < 2*l.o.Every:
		found, _ = one(Warning, fmt.Sprintf("binary logs are deleted after %s, and a backup is made every %s: when one night fails, the last backup makes no replica any more (error 1236)", kept, every), do)
	}
	if most := l.number("max_binlog_total_size"); most > 0 {
		found = append(found, Finding{Severity: Warning, Says: fmt.Sprintf("binary logs of more than %s in all are deleted, however young they are: a busy day takes away what the last backup needs",
			human.Size(uint64(most))), Do: set("max_binlog_total_size", "0") + ", or as much as is written in three times " + every})
	}
	return found, nil
}

func secondsOrDays(option string) int {
	if option == "expire_logs_days" {
		return 1
	}
	return 86400
}

func lookAtBinlogErrors(_ context.Context, l *look) ([]Finding, error) {
	if !strings.EqualFold(l.variables["binlog_error_action"], "IGNORE_ERROR") {
		return none()
	}
	return one(Warning, "binlog_error_action is IGNORE_ERROR: when the disk is full, the server goes on without a binary log, and replicas and backups lack what follows", set("binlog_error_action", "ABORT_SERVER"))
}

func lookAtBinlogFilter(ctx context.Context, l *look) (found []Finding, err error) {
	if !l.on("log_bin") {
		return none()
	}
	d, err := l.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.Rows(ctx, d.BinaryLogStatus)
	for _, row := range rows {
		for _, option := range []string{"Binlog_Do_DB", "Binlog_Ignore_DB"} {
			if row[option] != "" {
				found = append(found, Finding{Severity: Problem, Object: strings.ToLower(option), Says: "changes of some databases are not in the binary log (" + strings.ToLower(option) + "=" + row[option] +
					"): a replica never gets them, and differs from the first night on", Do: "take " + strings.ToLower(option) + " out of the option file, and restart the server; filter at the replica, if at all"})
			}
		}
	}
	return found, err
}

func lookAtGTID(_ context.Context, l *look) ([]Finding, error) {
	if l.mariadb() {
		if l.on("gtid_strict_mode") {
			return none()
		}
		return one(Note, "gtid_strict_mode is off: a replica that somebody wrote to goes on, and its GTIDs go astray", set("gtid_strict_mode", "ON"))
	}
	const steps = "one at a time, on each server: SET GLOBAL enforce_gtid_consistency=WARN; (look at the error log for a day) SET GLOBAL enforce_gtid_consistency=ON; SET GLOBAL gtid_mode=OFF_PERMISSIVE; " +
		"SET GLOBAL gtid_mode=ON_PERMISSIVE; SET GLOBAL gtid_mode=ON; and in the option file, below [mysqld]: gtid_mode=ON, enforce_gtid_consistency=ON"
	switch mode := l.variables["gtid_mode"]; mode {
	case "ON":
		return none()
	case "", "OFF":
		return one(Note, "gtid_mode is OFF: replicas follow by file and offset, and another source is found for them by hand", steps)
	default:
		return one(Warning, "gtid_mode is "+mode+", the middle of a change: transactions with and without GTID are in the log, and no set of GTIDs says what a backup has", "finish the change, "+steps)
	}
}

func lookAtDurability(_ context.Context, l *look) (found []Finding, err error) {
	if l.on("log_bin") && l.number("sync_binlog") != 1 {
		found = append(found, Finding{Severity: Note, Object: "sync_binlog", Says: "it is not 1: after a crash of the machine the source can lack what its replicas and backups have", Do: set("sync_binlog", "1") + " (each commit then waits for the disk)"})
	}
	if l.number("innodb_flush_log_at_trx_commit") != 1 {
		found = append(found, Finding{Severity: Note, Object: "innodb_flush_log_at_trx_commit", Says: "innodb_flush_log_at_trx_commit is not 1: a crash of the machine loses about the last second", Do: set("innodb_flush_log_at_trx_commit", "1")})
	}
	return found, nil
}

func lookAtRecovery(_ context.Context, l *look) ([]Finding, error) {
	level := l.number("innodb_force_recovery")
	if level == 0 {
		return none()
	}
	return one(Problem, fmt.Sprintf("innodb_force_recovery is %.0f: somebody is saving what can be saved of damaged files; undo and change buffer are not to be relied on", level),
		"dump what can be read into a new server; then take innodb_force_recovery out of the option file")
}

func lookAtReach(_ context.Context, l *look) ([]Finding, error) {
	if l.on("skip_networking") {
		return one(Problem, "skip_networking is on: no replica can connect", "take skip_networking out of the option file, and restart the server")
	}
	address := l.variables["bind_address"]
	if address != "127.0.0.1" && address != "::1" && address != "localhost" {
		return none()
	}
	return one(Warning, "bind_address is "+address+": only a replica on this machine, or through a tunnel, can connect", restart("bind_address=*"))
}

func lookAtConnections(ctx context.Context, l *look) ([]Finding, error) {
	row, err := l.Row(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
	if err != nil {
		return nil, err
	}
	used, err := strconv.Atoi(string(row[1]))
	if err != nil {
		return nil, fmt.Errorf("read Threads_connected: %w", err)
	}
	most := int(l.number("max_connections"))
	if own := int(l.number("max_user_connections")); own > 0 && own < l.o.Sessions {
		return one(Problem, fmt.Sprintf("max_user_connections is %d: a backup opens %d sessions", own, l.o.Sessions), set("max_user_connections", strconv.Itoa(2*l.o.Sessions))+", or fewer --threads")
	}
	if used-1+l.o.Sessions <= most { // but for this one
		return none()
	}
	return one(Problem, fmt.Sprintf("%d of %d connections are in use: a backup opens %d sessions", used, most, l.o.Sessions), set("max_connections", strconv.Itoa(most+2*l.o.Sessions))+", or fewer --threads")
}

func lookAtPacket(_ context.Context, l *look) ([]Finding, error) {
	const least = 16 << 20
	packet := l.number("max_allowed_packet")
	if packet >= least {
		return none()
	}
	return one(Note, "max_allowed_packet is "+human.Size(uint64(packet))+": a row that is longer once its bytes are escaped can be read, and not loaded again", set("max_allowed_packet", strconv.Itoa(64<<20))+", here and at the replica")
}
