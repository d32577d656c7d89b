package roundtrip

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// facts are what two servers that hold the same have to agree in, each by its kind and name.
type facts struct {
	t   testing.TB
	s   *server.Session
	all map[string]string
}

const notOwn = " NOT IN ('mysql','information_schema','performance_schema','sys')"

func factsOf(t testing.TB, s *servertest.Server) map[string]string {
	t.Helper()
	f := &facts{t, connect(t, s), map[string]string{}}
	for _, set := range []string{"max_statement_time=5", "max_execution_time=5000", "show_gipk_in_create_table_and_information_schema=1", "print_identified_with_as_hex=1"} {
		_ = f.s.Exec(t.Context(), "SET SESSION "+set) // what a server does not know
	}
	f.tables()
	f.programs()
	f.accounts()
	return f.all
}

// rows returns all rows of a query, values joined; an error is an answer too.
func (f *facts) rows(query string) (rows []string) {
	err := f.s.Query(f.t.Context(), query, func(row [][]byte) error {
		rows = append(rows, joined(row))
		return nil
	})
	if err != nil {
		if server.Number(err) == 0 {
			f.t.Fatal(err)
		}
		return []string{fmt.Sprintf("error %d", server.Number(err))}
	}
	return rows
}

func joined(row [][]byte) string {
	var b strings.Builder
	for _, v := range row {
		if v == nil {
			b.WriteString("NULL|")
		} else {
			fmt.Fprintf(&b, "%s|", v)
		}
	}
	return b.String()
}

// names returns the first columns of a query's rows.
func (f *facts) names(query string) (rows [][]string) {
	f.t.Helper()
	err := f.s.Query(f.t.Context(), query, func(row [][]byte) error {
		var texts []string
		for _, v := range row {
			texts = append(texts, string(v))
		}
		rows = append(rows, texts)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return rows
}

// shown notes what SHOW CREATE says: all of its columns.
func (f *facts) shown(kind, database, name string) {
	full := server.Quote(database) + "." + server.Quote(name)
	if database == "" {
		full = server.Quote(name)
	}
	rows := f.rows("SHOW CREATE " + kind + " " + full)
	text := strings.Join(rows, "\n")
	switch kind {
	case "TRIGGER":
		text = created.ReplaceAllString(text, "|")
	case "TABLE":
		text = loose.ReplaceAllString(text, "")
	}
	f.all[kind+" "+database+"."+name] = text
}

// loose is what a table's definition has whatever its rows and its columns are: the next number, which may be lower than those that it has, and
// a default that MariaDB does not print of some columns, and what MySQL 8 prints or not by how the table was made.
var loose = regexp.MustCompile(` AUTO_INCREMENT=\d+| DEFAULT NULL| CHARACTER SET \w+`)

// created is when a trigger was made.
var created = regexp.MustCompile(`\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d\|$`)

// wayward are views whose rows depend on who asks, and when.
var wayward = regexp.MustCompile("(?i)\\b(now|sysdate|curdate|curtime|current_\\w+|unix_timestamp|utc_\\w+|rand|uuid\\w*|connection_id|user|session_user|last_insert_id|row_count|found_rows|nextval|lastval|setval|sleep|" +
	"get_lock|benchmark|version|load_file)\\s*\\(|@@|mysql`|information_schema|performance_schema|limit |fields_information")

func (f *facts) tables() {
	for _, d := range f.names("SELECT schema_name FROM information_schema.schemata WHERE schema_name" + notOwn) {
		f.shown("DATABASE", "", d[0])
	}
	for _, r := range f.names("SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema" + notOwn) {
		name := server.Quote(r[0]) + "." + server.Quote(r[1])
		f.shown("TABLE", r[0], r[1])
		create := f.all["TABLE "+r[0]+"."+r[1]]
		switch {
		case r[2] == "VIEW":
			if !wayward.MatchString(create) {
				f.sorted("view "+r[0]+"."+r[1], "SELECT * FROM "+name)
			}
		case r[2] == "SEQUENCE":
			f.sorted("sequence "+r[0]+"."+r[1], "SELECT * FROM "+name)
		case elsewhere.MatchString(create):
		default:
			if !strings.Contains(create, "` json") { // of which MySQL's sum is another on each server
				f.all["sum "+r[0]+"."+r[1]] = strings.Join(f.rows("CHECKSUM TABLE "+name+" EXTENDED"), "\n")
			}
			f.sorted("rows "+r[0]+"."+r[1], "SELECT * FROM "+name)
			if r[2] == "SYSTEM VERSIONED" {
				f.sorted("history "+r[0]+"."+r[1], "SELECT * FROM "+name+" FOR SYSTEM_TIME ALL")
				f.sorted("times "+r[0]+"."+r[1], "SELECT ROW_START, ROW_END FROM "+name+" FOR SYSTEM_TIME ALL")
			}
		}
	}
}

// elsewhere are engines whose rows are not their own.
var elsewhere = regexp.MustCompile(`(?i)ENGINE=(MRG_MyISAM|FEDERATED|SPIDER|CONNECT|BLACKHOLE)`)

// sorted notes the hash of a query's rows, in any order.
func (f *facts) sorted(fact, query string) {
	rows := f.rows(query)
	if len(rows) == 1 && (strings.HasPrefix(rows[0], "error 1969") || strings.HasPrefix(rows[0], "error 3024")) { // it took too long
		return
	}
	if slices.ContainsFunc(rows, func(r string) bool { return strings.Contains(r, "|information_schema|") }) { // a view of views of the server's own
		return
	}
	slices.Sort(rows)
	hash := sha256.New()
	for _, r := range rows {
		fmt.Fprintf(hash, "%d %s\n", len(r), r)
	}
	f.all[fact] = fmt.Sprintf("%d rows %s %.300q", len(rows), hex.EncodeToString(hash.Sum(nil)[:8]), rows)
}

func (f *facts) programs() {
	for _, r := range f.names("SELECT routine_schema, routine_name, routine_type FROM information_schema.routines WHERE routine_schema" + notOwn) {
		f.shown(r[2], r[0], r[1])
	}
	for _, r := range f.names("SELECT trigger_schema, trigger_name, event_object_table, action_timing, event_manipulation, action_order FROM information_schema.triggers WHERE trigger_schema" + notOwn) {
		f.shown("TRIGGER", r[0], r[1])
		f.all["order of "+r[0]+"."+r[1]] = strings.Join(r[2:], "|")
	}
	for _, r := range f.names("SELECT event_schema, event_name, status, starts, ends, execute_at, interval_value, interval_field, on_completion FROM information_schema.events WHERE event_schema" + notOwn) {
		f.shown("EVENT", r[0], r[1])
		f.all["schedule of "+r[0]+"."+r[1]] = strings.Join(r[2:], "|")
	}
	for _, r := range f.names("SELECT Server_name FROM mysql.servers") {
		f.sorted("server ."+r[0], "SELECT * FROM mysql.servers WHERE Server_name='"+strings.ReplaceAll(r[0], "'", "''")+"'")
	}
}

func (f *facts) accounts() {
	for _, r := range f.names("SELECT User, Host FROM mysql.user") {
		if r[0] == "mariadb.sys" || strings.HasPrefix(r[0], "mysql.") { // the server's own
			continue
		}
		account := server.Quote(r[0]) + "@" + server.Quote(r[1])
		if r[1] == "" && len(f.rows("SHOW GRANTS FOR "+account)) == 1 {
			account = server.Quote(r[0])
		}
		f.all["account "+r[0]+"@"+r[1]] = strings.Join(f.rows("SHOW CREATE USER "+account), "\n")
		grants := slices.Compact(slices.Sorted(slices.Values(f.rows("SHOW GRANTS FOR " + account)))) // MariaDB shows a proxy twice that two statements made
		f.all["grants "+r[0]+"@"+r[1]] = strings.Join(slices.DeleteFunc(grants, madeHere.MatchString), "\n")
	}
}

// madeHere are the roles that root made, whose administrator it is by that.
var madeHere = regexp.MustCompile("^GRANT `[^`]*` TO `root`@`localhost` WITH ADMIN OPTION")

// compare fails for each fact that differs and that no name says is left out.
func compare(t testing.TB, want, got, left map[string]string) {
	t.Helper()
	named := func(fact string) bool {
		_, name, _ := strings.Cut(fact, " ")
		if kind, of, ok := strings.Cut(fact, " of "); ok && (kind == "order" || kind == "schedule") {
			name = of
		}
		_, ok := left[name]
		return ok
	}
	for _, fact := range slices.Sorted(maps.Keys(want)) {
		if named(fact) {
			continue
		}
		if g, ok := got[fact]; !ok {
			t.Errorf("%s is not there; it was\n%.600s", fact, want[fact])
		} else if table, sum := strings.CutPrefix(fact, "sum "); sum && strings.Contains(want["TABLE "+table], ") VIRTUAL") {
			continue // the sums of some differ from one second to the next
		} else if g != want[fact] {
			t.Errorf("%s is\n%.900s\nnot\n%.900s", fact, g, want[fact])
		}
	}
	for fact, g := range got {
		if _, ok := want[fact]; !ok && !named(fact) {
			t.Errorf("%s is there: %.300s", fact, g)
		}
	}
}
