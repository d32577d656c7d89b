package check_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/check"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

func look(t *testing.T, c *mysql.Config, o check.Options) []check.Finding {
	t.Helper()
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	found, err := check.Run(t.Context(), srv, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(found, func(a, b check.Finding) int { return rank(a) - rank(b) }) {
		t.Errorf("not the worst first: %v", found)
	}
	for _, f := range found {
		if f.Name == "" || f.Says == "" || strings.Contains(f.Says, "could not be looked at") {
			t.Errorf("%+v", f)
		}
	}
	return found
}

func rank(f check.Finding) int {
	return slices.Index([]check.Severity{check.Problem, check.Warning, check.Note}, f.Severity)
}

// find returns the finding of a rule about an object; nil: there is none.
func find(found []check.Finding, name, object string) *check.Finding {
	i := slices.IndexFunc(found, func(f check.Finding) bool { return f.Name == name && (object == "" || f.Object == object) })
	if i < 0 {
		return nil
	}
	return &found[i]
}

// A provoked is a finding that is made for real, and is gone after its advice was followed.
type provoked struct {
	name     string
	severity check.Severity
	object   string   // empty: any
	also     []string // other problems that come with it, and go
	only     func(k servertest.Kind) bool
	options  check.Options
	before   []string             // what makes it
	advice   []string             // statements that have to be in what to do, and are done
	instead  map[string]string    // what is done in the place of a part of an advice
	do       func(*target) func() // makes it where statements do not; what it returns undoes it, after the advice
	follow   func(*target)        // follows an advice that is no statement
}

// A target is the server of a test, and how its rules are asked.
type target struct {
	*testing.T
	*servertest.Server
	config  *mysql.Config
	options check.Options
	found   *check.Finding
	held    *sql.Conn

	source  *servertest.Server // nil: the rules of one server are asked
	account *mysql.Config      // by which the replica logs in at the source; nil: not known
}

// ask returns what the rules find.
func (t *target) ask() []check.Finding {
	t.Helper()
	if t.source != nil {
		return lookAtEnds(t)
	}
	return look(t.T, t.config, t.options)
}

func mariaDB(k servertest.Kind) bool { return k.MariaDB() }
func mySQL(k servertest.Kind) bool   { return !k.MariaDB() }
func is(kinds ...servertest.Kind) func(servertest.Kind) bool {
	return func(k servertest.Kind) bool { return slices.Contains(kinds, k) }
}

// wait asks until a finding is there, or gone; not sooner than InnoDB, who answers for 100 ms from what it knew.
func (t *target) wait(p provoked, there bool) {
	t.Helper()
	for deadline := time.Now().Add(replicatest.Limit); ; time.Sleep(150 * time.Millisecond) {
		found := t.ask()
		f := find(found, p.name, p.object)
		switch {
		case there && f != nil && f.Severity == p.severity:
			t.found = f
			return
		case !there && (f == nil || rank(*f) > rank(check.Finding{Severity: p.severity})):
			return
		case time.Now().After(deadline):
			t.Fatalf("%s is there: %v, wanted: %v as a %s, in %+v", p.name, f != nil, there, p.severity, found)
		}
	}
}

// run provokes it at a server; of a pair, that is the replica.
func (p provoked) run(t *testing.T, s, source *servertest.Server) {
	at := &target{T: t, Server: s, source: source, config: s.Config(), options: p.options}
	if len(at.options.For) == 0 {
		at.options.For = check.Purposes
	}
	if len(p.before) > 0 {
		s.Exec(t, p.before...)
	}
	if p.do != nil {
		if undo := p.do(at); undo != nil {
			defer undo()
		}
	}
	at.wait(p, true)
	t.Logf("%s: %s\n    %s", at.found.Object, at.found.Says, at.found.Do)
	others := func(there bool) {
		t.Helper()
		for _, name := range p.also {
			if f := find(at.ask(), name, ""); (f != nil && f.Severity == check.Problem) != there {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	others(true)
	for _, advice := range p.advice {
		if !strings.Contains(at.found.Do, advice) {
			t.Fatalf("%q does not say %q", at.found.Do, advice)
		}
		for from, to := range p.instead {
			advice = strings.ReplaceAll(advice, from, to)
		}
		s.Exec(t, advice)
	}
	if p.follow != nil {
		p.follow(at)
	}
	at.wait(p, false)
	others(false)
}

var running = []provoked{
	{name: "server-id", severity: check.Warning, before: []string{"SET GLOBAL server_id=1"}, advice: []string{"SET GLOBAL server_id=N;"}, instead: map[string]string{"=N": "=77"}},
	{name: "server-id", severity: check.Problem, only: mySQL, before: []string{"SET GLOBAL server_id=0"}, advice: []string{"SET GLOBAL server_id=N;"}, instead: map[string]string{"=N": "=77"}},
	{name: "binlog-format", severity: check.Problem, before: []string{"SET GLOBAL binlog_format='STATEMENT'"}, advice: []string{"SET GLOBAL binlog_format=ROW;"}},
	{name: "binlog-format", severity: check.Warning, before: []string{"SET GLOBAL binlog_format='MIXED'"}, advice: []string{"SET GLOBAL binlog_format=ROW;"}},
	{name: "binlog-row-image", severity: check.Warning, before: []string{"SET GLOBAL binlog_row_image='MINIMAL'"}, advice: []string{"SET GLOBAL binlog_row_image=FULL;"}},
	{name: "binlog-expiry", severity: check.Problem, only: is(servertest.MySQL57), options: check.Options{Every: 48 * time.Hour}, before: []string{"SET GLOBAL expire_logs_days=1"}, advice: []string{"SET GLOBAL expire_logs_days=6;"}},
	{name: "binlog-expiry", severity: check.Problem, only: is(servertest.MariaDB1011), options: check.Options{Every: 48 * time.Hour}, before: []string{"SET GLOBAL expire_logs_days=1.5"}, advice: []string{"SET GLOBAL binlog_expire_logs_seconds=518400;"}},
	{name: "binlog-expiry", severity: check.Problem, only: is(servertest.MariaDB1011, servertest.MariaDB118, servertest.MySQL97), before: []string{"SET GLOBAL binlog_expire_logs_seconds=86399"}, advice: []string{"SET GLOBAL binlog_expire_logs_seconds=259200;"}},
	{name: "binlog-expiry", severity: check.Warning, only: is(servertest.MariaDB1011, servertest.MariaDB118, servertest.MySQL97), before: []string{"SET GLOBAL binlog_expire_logs_seconds=90000"}, advice: []string{"SET GLOBAL binlog_expire_logs_seconds=259200;"}},
	{name: "binlog-expiry", severity: check.Warning, only: is(servertest.MariaDB118), before: []string{"SET GLOBAL max_binlog_total_size=1048576"}, advice: []string{"SET GLOBAL max_binlog_total_size=0;"}},
	{name: "binlog-expiry", severity: check.Note, before: []string{"SET GLOBAL expire_logs_days=0"}, only: is(servertest.MariaDB1011, servertest.MySQL57), follow: func(t *target) {
		advice, _, _ := strings.Cut(t.found.Do, "; and")
		t.Exec(t.T, strings.TrimPrefix(advice, "keep them for some backups: "))
	}},
	{name: "binlog-error-action", severity: check.Warning, only: mySQL, before: []string{"SET GLOBAL binlog_error_action=IGNORE_ERROR"}, advice: []string{"SET GLOBAL binlog_error_action=ABORT_SERVER;"}},
	{name: "gtid", severity: check.Warning, only: mySQL, before: []string{"SET GLOBAL gtid_mode=ON_PERMISSIVE"}, advice: []string{"SET GLOBAL gtid_mode=ON;"}},
	{name: "gtid", severity: check.Note, only: mySQL, before: []string{"SET GLOBAL gtid_mode=ON_PERMISSIVE", "SET GLOBAL gtid_mode=OFF_PERMISSIVE", "SET GLOBAL gtid_mode=OFF", "SET GLOBAL enforce_gtid_consistency=OFF"},
		advice: []string{"SET GLOBAL enforce_gtid_consistency=WARN;", "SET GLOBAL enforce_gtid_consistency=ON;", "SET GLOBAL gtid_mode=OFF_PERMISSIVE;", "SET GLOBAL gtid_mode=ON_PERMISSIVE;", "SET GLOBAL gtid_mode=ON;"}},
	{name: "gtid", severity: check.Note, only: mariaDB, before: []string{"SET GLOBAL gtid_strict_mode=OFF"}, advice: []string{"SET GLOBAL gtid_strict_mode=ON;"}},
	{name: "durability", severity: check.Note, object: "sync_binlog", before: []string{"SET GLOBAL sync_binlog=0"}, advice: []string{"SET GLOBAL sync_binlog=1;"}},
	{name: "durability", severity: check.Note, object: "innodb_flush_log_at_trx_commit", before: []string{"SET GLOBAL innodb_flush_log_at_trx_commit=2"}, advice: []string{"SET GLOBAL innodb_flush_log_at_trx_commit=1;"}},
	{name: "packet", severity: check.Note, before: []string{"SET GLOBAL max_allowed_packet=4194304"}, advice: []string{"SET GLOBAL max_allowed_packet=67108864;"}},
	{name: "connections", severity: check.Problem, options: check.Options{Sessions: 12}, before: []string{"SET GLOBAL max_connections=10"}, advice: []string{"SET GLOBAL max_connections=34;"}},
	{name: "connections", severity: check.Problem, before: []string{"SET GLOBAL max_user_connections=7"}, advice: []string{"SET GLOBAL max_user_connections=16;"}, only: mySQL},
	{name: "non-transactional", severity: check.Warning, object: "a`.m", before: []string{"CREATE TABLE `a```.m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO `a```.m VALUES (1)"},
		advice: []string{"ALTER TABLE `a```.`m` ENGINE=InnoDB;"}},
	{name: "non-transactional", severity: check.Warning, only: mariaDB, object: "a`.x", before: []string{"CREATE TABLE `a```.x (id INT PRIMARY KEY) ENGINE=Aria"}, advice: []string{"ALTER TABLE `a```.`x` ENGINE=InnoDB;"}},
	{name: "non-transactional", severity: check.Note, object: "a`.y", before: []string{"CREATE TABLE `a```.y (id INT PRIMARY KEY) ENGINE=MEMORY"}, advice: []string{"ALTER TABLE `a```.`y` ENGINE=InnoDB;"}},
	{name: "broken", severity: check.Problem, object: "a`.v", before: []string{"CREATE TABLE `a```.gone (id INT)", "CREATE VIEW `a```.v AS SELECT id FROM `a```.gone", "DROP TABLE `a```.gone"}, advice: []string{"DROP VIEW `a```.`v`;"}},
	{name: "broken", severity: check.Problem, object: "a`.r", before: []string{"CREATE TABLE `a```.r (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO `a```.r VALUES (1),(2)", "FLUSH TABLES"}, only: is(servertest.MariaDB1011, servertest.MySQL57), do: breakTable, advice: []string{"REPAIR TABLE `a```.`r` USE_FRM;"}},
	{name: "long", severity: check.Warning, options: check.Options{Long: time.Second}, do: longStatement, follow: killAdvised},
	{name: "long", severity: check.Warning, options: check.Options{Long: time.Second}, do: openTransaction, follow: endTransaction},
	{name: "history", severity: check.Warning, before: []string{"SET GLOBAL innodb_purge_rseg_truncate_frequency=1"}, options: check.Options{History: 50}, do: holdUndo, follow: purge},
	{name: "prepared", severity: check.Warning, object: "xid 0x672762", before: []string{"CREATE TABLE `a```.z (id INT PRIMARY KEY)", "XA START X'6727',X'62',5", "INSERT INTO `a```.z VALUES (1)", "XA END X'6727',X'62',5", "XA PREPARE X'6727',X'62',5"}, advice: []string{"XA COMMIT X'6727',X'62',5;"}},
	{name: "opaque-pages", severity: check.Warning, object: "a`.c", before: []string{"CREATE TABLE `a```.c (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED"}, follow: func(t *target) { t.Exec(t.T, "ALTER TABLE `a```.c ROW_FORMAT=DYNAMIC") }},
	{name: "opaque-pages", severity: check.Warning, object: "a`.d", only: mariaDB, before: []string{"CREATE TABLE `a```.d (id INT PRIMARY KEY) PAGE_COMPRESSED=1"}, follow: func(t *target) { t.Exec(t.T, "ALTER TABLE `a```.d PAGE_COMPRESSED=0") }},
	{name: "opaque-pages", severity: check.Warning, object: "a`.d", only: mySQL, before: []string{"CREATE TABLE `a```.d (id INT PRIMARY KEY) COMPRESSION='zlib'"}, follow: func(t *target) { t.Exec(t.T, "ALTER TABLE `a```.d COMPRESSION='none'") }},
	{name: "no-key", severity: check.Note, object: "a`.k", before: []string{"CREATE TABLE `a```.k (id INT, v LONGBLOB)", "INSERT INTO `a```.k VALUES (1, REPEAT('x', 2000000))", "ANALYZE TABLE `a```.k"}, advice: []string{"ALTER TABLE `a```.`k` ADD PRIMARY KEY (...);"}, instead: map[string]string{"...": "id"}},
	{name: "clock", severity: check.Warning, options: check.Options{Now: func() time.Time { return time.Now().Add(-time.Minute) }}, follow: func(t *target) { t.options.Now = nil }},
	{name: "clock", severity: check.Warning, options: check.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }}, follow: func(t *target) { t.options.Now = nil }},
	{name: "time-zones", severity: check.Note, follow: func(t *target) {
		// As the advised program does, with all zones.
		t.Exec(t.T, "INSERT INTO mysql.time_zone VALUES (1, 'N')", "INSERT INTO mysql.time_zone_name VALUES ('UTC', 1)", "INSERT INTO mysql.time_zone_transition_type VALUES (1, 0, 0, 0, 'UTC')")
	}},
	{name: "space", severity: check.Problem, object: "/nowhere/at/all", options: check.Options{TempDir: "/nowhere/at/all"}, follow: func(t *target) { t.options.TempDir = t.TempDir() }},
	{name: "space", severity: check.Warning, options: check.Options{Free: func(string) (uint64, uint64, error) { return 500 << 20, 100 << 30, nil }}, do: scratch, follow: func(t *target) { t.options.TempDir, t.options.Free = "", plenty }},
	{name: "space", severity: check.Problem, options: check.Options{Free: func(string) (uint64, uint64, error) { return 5 << 20, 100 << 30, nil }}, do: scratch, follow: func(t *target) { t.options.TempDir, t.options.Free = "", plenty }},
	{name: "tools", severity: check.Problem, object: "mariadb-backup", only: mariaDB, options: check.Options{Path: "/nowhere"}, follow: func(t *target) { t.options.Path = "" }},
	{name: "tools", severity: check.Problem, only: mariaDB, do: otherTool("mariadb-backup based on MariaDB server 10.4.3-MariaDB"), follow: func(t *target) { t.options.Path = "" }},
	{name: "hot-method", severity: check.Problem, object: "clone", only: is(servertest.MySQL97), advice: []string{"INSTALL PLUGIN clone SONAME 'mysql_clone.so';"}},
	{name: "clone-space", severity: check.Warning, only: is(servertest.MySQL97), options: check.Options{Free: func(string) (uint64, uint64, error) { return 120 << 20, 1 << 30, nil }}, follow: func(t *target) { t.options.Free = plenty }},
	{name: "hot-method", severity: check.Problem, only: is(servertest.MariaDB1011), do: func(t *target) func() { t.move(t.Datadir, t.Datadir+".moved"); return nil }, follow: func(t *target) { t.move(t.Datadir+".moved", t.Datadir) }},
	{name: "account-limits", severity: check.Warning, before: []string{"CREATE USER limited WITH MAX_QUERIES_PER_HOUR 1000000 MAX_USER_CONNECTIONS 9", "GRANT ALL ON *.* TO limited"}, do: as("limited"),
		advice: []string{"ALTER USER `limited`@`%` WITH MAX_QUERIES_PER_HOUR 0;"}, follow: func(t *target) {
			t.Exec(t.T, "ALTER USER `limited`@`%` WITH MAX_USER_CONNECTIONS 0")
		}},
	{name: "account-limits", severity: check.Warning, before: []string{"ALTER USER root@localhost PASSWORD EXPIRE NEVER", "SET GLOBAL default_password_lifetime=90"}, do: as("limited"), advice: []string{"ALTER USER `limited`@`%` PASSWORD EXPIRE NEVER;"}},
	{name: "tls-off", severity: check.Warning, do: remote, only: mySQL, follow: func(t *target) { t.config.TLSConfig = "skip-verify" }},
	{name: "tls-off", severity: check.Warning, do: remote, only: mariaDB, follow: func(t *target) { t.config = t.Config() }},
}

// move moves a folder; a server goes on in its data directory.
func (t *target) move(from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func plenty(string) (uint64, uint64, error) { return 50 << 30, 100 << 30, nil }

func scratch(t *target) func() { t.options.TempDir = t.TempDir(); return nil }

// as has the rules asked by an account without a password.
func as(user string) func(*target) func() {
	return func(t *target) func() { t.config.User = user; return nil }
}

// remote has the server look as if it were far away.
func remote(t *target) func() {
	near := t.config.Addr
	t.config.Addr = "db.example.com:3306"
	t.config.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, near)
	}
	return nil
}

func otherTool(says string) func(*target) func() {
	return func(t *target) func() {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "mariadb-backup"), []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.options.Path = dir + ":/usr/bin"
		return nil
	}
}

func breakTable(t *target) func() {
	if err := os.Truncate(filepath.Join(t.Datadir, "a@0060", "r.MYI"), 0); err != nil {
		t.Fatal(err)
	}
	return nil
}

func longStatement(t *target) func() {
	c := t.Connect(t.T)
	done := make(chan struct{})
	go func() { defer close(done); c.ExecContext(t.Context(), "DO SLEEP(3600)") }()
	return func() { <-done }
}

func openTransaction(t *target) func() {
	c := t.Connect(t.T)
	t.Exec(t.T, "CREATE TABLE `a```.held (id INT PRIMARY KEY)")
	for _, statement := range []string{"BEGIN", "INSERT INTO `a```.held VALUES (1)"} {
		if _, err := c.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.held = c
	return nil
}

// endTransaction does as advised. A KILL of MySQL 5.7 often fails to wake a session that waits for its client.
func endTransaction(t *target) {
	killAdvised(t)
	for begin := time.Now(); time.Since(begin) < replicatest.Limit; time.Sleep(150 * time.Millisecond) {
		switch f := find(t.ask(), "long", t.found.Object); {
		case f == nil:
			return
		case strings.Contains(f.Do, "end its client"):
			_ = t.held.Raw(func(any) error { return driver.ErrBadConn }) // no pool keeps such a connection open
			return
		}
	}
}

func killAdvised(t *target) {
	_, kill, found := strings.Cut(t.found.Do, "or KILL")
	if !found {
		t.Fatal(t.found.Do)
	}
	t.Exec(t.T, "KILL"+kill)
}

func holdUndo(t *target) func() {
	c := t.Connect(t.T)
	t.Exec(t.T, "CREATE TABLE `a```.undo (id INT PRIMARY KEY, v INT)", "INSERT INTO `a```.undo VALUES (1, 1)")
	if _, err := c.ExecContext(t.Context(), "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		t.Fatal(err)
	}
	var updates []string
	for i := range 200 {
		updates = append(updates, fmt.Sprintf("UPDATE `a```.undo SET v=%d", i+2))
	}
	t.Exec(t.T, updates...)
	t.held = c
	return nil
}

func purge(t *target) {
	if _, err := t.held.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < replicatest.Limit; { // MySQL 5.7 purges when somebody writes
		t.Exec(t.T, "UPDATE `a```.undo SET v=0", "UPDATE `a```.undo SET v=1")
		if find(t.ask(), "history", "") == nil {
			return
		}
	}
}

func TestProvoked(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE `a```")
		for _, p := range running {
			if p.only == nil || p.only(k) {
				t.Run(p.name+"/"+string(p.severity), func(t *testing.T) { p.run(t, s, nil) })
			}
		}
	})
}
