package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump"
	"nightjar/mysqldump/check"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

func open(t *testing.T, c *mysql.Config) *server.Server {
	t.Helper()
	if c == nil {
		return nil
	}
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// lookAtEnds asks the rules of a pair, of which the target is the replica.
func lookAtEnds(t *target) []check.Finding {
	t.Helper()
	found, err := check.Ends(t.Context(), open(t.T, t.source.Config()), open(t.T, t.config), open(t.T, t.account), t.options)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if strings.Contains(f.Says, "could not be looked at") {
			t.Errorf("%+v", f)
		}
	}
	return found
}

// atSource runs statements there.
func atSource(statements ...string) func(*target) func() {
	return func(t *target) func() { t.source.Exec(t.T, statements...); return nil }
}

// login has the replica log in at the source by an account.
func login(user, password string) func(*target) func() {
	return func(t *target) func() {
		t.account = t.source.Config()
		t.account.User, t.account.Passwd = user, password
		return nil
	}
}

func restarted(flags ...string) func(*target) func() {
	return func(t *target) func() { t.Kill(); t.Restart(t.T, flags...); return nil } // quicker than a shutdown
}

func plainRestart(t *target) { restarted()(t) }

// adviseSource runs a statement of the advice at the source.
func adviseSource(advice string, instead ...string) func(*target) {
	return func(t *target) {
		if !strings.Contains(t.found.Do, advice) {
			t.Fatalf("%q does not say %q", t.found.Do, advice)
		}
		for _, s := range strings.Split(strings.TrimSuffix(advice, ";"), "; ") {
			t.source.Exec(t.T, strings.NewReplacer(instead...).Replace(s))
		}
	}
}

var replicas = []provoked{
	{name: "replica-itself", severity: check.Problem, do: func(t *target) func() { t.config = t.source.Config(); return nil }, follow: func(t *target) { t.config = t.Config() }},
	{name: "replica-privileges", severity: check.Problem, before: []string{"CREATE USER plain", "GRANT SELECT, PROCESS, REPLICATION CLIENT ON *.* TO plain"}, do: func(t *target) func() {
		if mariaDB(t.Kind) {
			t.Exec(t.T, "GRANT SLAVE MONITOR ON *.* TO plain")
		}
		return as("plain")(t)
	}, advice: []string{"GRANT ALL PRIVILEGES ON *.* TO `plain`@`%` WITH GRANT OPTION;"}},
	{name: "replica-empty", severity: check.Problem, object: "b`", before: []string{"CREATE DATABASE `b```"}, advice: []string{"DROP DATABASE `b```;"}},
	{name: "replica-server-id", severity: check.Problem, do: func(t *target) func() {
		t.Exec(t.T, fmt.Sprint("SET GLOBAL server_id=", t.source.ServerID))
		return nil
	}, advice: []string{"SET GLOBAL server_id=N;"}, instead: map[string]string{"=N": "=78"}},
	{name: "replica-server-id", severity: check.Problem, only: mySQL, before: []string{"SET GLOBAL server_id=0"}, advice: []string{"SET GLOBAL server_id=N;"}, instead: map[string]string{"=N": "=78"}},
	{name: "replica-server-id", severity: check.Problem, object: "server_uuid", only: is(servertest.MySQL57), do: copyUUID, follow: func(t *target) {
		t.Kill()
		if err := os.Remove(filepath.Join(t.Datadir, "auto.cnf")); err != nil {
			t.Fatal(err)
		}
		t.Restart(t.T)
	}},
	{name: "replica-account", severity: check.Problem, do: login("repl", "secret"), follow: adviseSource("CREATE USER `repl`@`%` IDENTIFIED BY '...'; GRANT REPLICATION SLAVE ON *.* TO `repl`@`%`;", "...", "secret")},
	{name: "replica-account", severity: check.Problem, object: "repl@%", do: func(t *target) func() {
		t.source.Exec(t.T, "REVOKE REPLICATION SLAVE ON *.* FROM repl")
		return login("repl", "secret")(t)
	}, follow: adviseSource("GRANT REPLICATION SLAVE ON *.* TO `repl`@`%`;")},
	{name: "replica-account", severity: check.Warning, object: "repl@%", only: is(servertest.MySQL97), do: login("repl", "secret"), follow: func(t *target) { t.account.TLSConfig = "skip-verify" }},
	{name: "replica-account", severity: check.Problem, do: func(t *target) func() { t.account = t.Config(); return nil }, follow: func(t *target) { t.account = t.source.Config() }},
	{name: "replica-account", severity: check.Note, object: "near@127.0.0.1", do: func(t *target) func() {
		t.source.Exec(t.T, "CREATE USER near@127.0.0.1", "GRANT REPLICATION SLAVE ON *.* TO near@127.0.0.1")
		login("near", "")(t)
		t.account.TLSConfig = t.tls()
		return nil
	}, follow: func(t *target) { t.account.User, t.account.Passwd = "repl", "secret" }},
	{name: "replica-filter", severity: check.Problem, object: "replicate_wild_ignore_table", only: mariaDB, before: []string{"SET GLOBAL replicate_wild_ignore_table='ap_.%'"}, advice: []string{"STOP ALL SLAVES;", "SET GLOBAL replicate_wild_ignore_table='';", "START ALL SLAVES;"}},
	{name: "replica-filter", severity: check.Warning, object: "replicate_ignore_db", only: mariaDB, before: []string{"SET GLOBAL replicate_ignore_db='nobody'"}, advice: []string{"SET GLOBAL replicate_ignore_db='';"}},
	{name: "replica-filter", severity: check.Problem, object: "replicate_do_table", only: mariaDB, before: []string{"SET GLOBAL replicate_do_table='app.other'"}, advice: []string{"SET GLOBAL replicate_do_table='';"}},
	{name: "replica-filter", severity: check.Problem, object: "replicate_wild_ignore_table", only: is(servertest.MySQL97), before: []string{"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE=('app.%')"}, advice: []string{"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE=();"}},
	{name: "replica-filter", severity: check.Note, only: is(servertest.MySQL57), follow: func(t *target) { t.Exec(t.T, "CHANGE MASTER TO MASTER_HOST='127.0.0.1'") }},
	{name: "replica-filter", severity: check.Problem, object: "replicate_wild_ignore_table", only: is(servertest.MySQL57), before: []string{"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE=('app.%')"}, advice: []string{"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE=();"}},
	{name: "replica-empty", severity: check.Note, only: is(servertest.MySQL57), follow: func(t *target) { t.Exec(t.T, "RESET SLAVE ALL") }},
	{name: "replica-names", severity: check.Problem, only: is(servertest.MariaDB1011, servertest.MySQL57), do: restarted("--lower-case-table-names=1"), follow: plainRestart},
	{name: "replica-gtid", severity: check.Problem, only: mySQL, before: []string{"SET GLOBAL gtid_mode=ON_PERMISSIVE", "SET GLOBAL gtid_mode=OFF_PERMISSIVE", "SET GLOBAL gtid_mode=OFF"}, follow: func(t *target) {
		t.Exec(t.T, "SET GLOBAL gtid_mode=OFF_PERMISSIVE", "SET GLOBAL gtid_mode=ON_PERMISSIVE", "SET GLOBAL gtid_mode=ON")
	}},
	{name: "replica-engines", severity: check.Problem, object: "app.hole", only: is(servertest.MariaDB1011), do: atSource("INSTALL SONAME 'ha_blackhole'", "CREATE TABLE app.hole (id INT PRIMARY KEY) ENGINE=BLACKHOLE"), follow: adviseSource("ALTER TABLE `app`.`hole` ENGINE=InnoDB;")},
	{name: "replica-packet", severity: check.Warning, object: "max_allowed_packet", before: []string{"SET GLOBAL max_allowed_packet=8388608"}, do: atSource("SET GLOBAL max_allowed_packet=33554432"), advice: []string{"SET GLOBAL max_allowed_packet=33554432;"}},
	{name: "replica-space", severity: check.Problem, only: is(servertest.MariaDB1011, servertest.MySQL57), options: check.Options{Free: func(string) (uint64, uint64, error) { return 1 << 10, 1 << 40, nil }}, follow: func(t *target) { t.options.Free = plenty }},
	{name: "replica-read-only", severity: check.Warning, before: []string{"SET GLOBAL read_only=OFF"}, advice: []string{"SET GLOBAL read_only=ON;"}},
	{name: "replica-relay-log", severity: check.Note, only: is(servertest.MariaDB1011, servertest.MySQL57), object: "relay_log_recovery", do: restarted("--relay-log-recovery=OFF"), follow: func(t *target) { restarted("--relay-log-recovery=ON")(t) }},
	{name: "replica-relay-log", severity: check.Warning, only: is(servertest.MariaDB1011), do: restarted("--relay-log="), follow: plainRestart},
	{name: "replica-logs", severity: check.Note, do: restarted("--skip-log-slave-updates"), only: is(servertest.MariaDB1011), follow: plainRestart},
	{name: "replica-charset", severity: check.Note, object: "character_set_server", before: []string{"SET GLOBAL character_set_server='ascii'"}, follow: func(t *target) {
		advice, _, _ := strings.Cut(strings.TrimPrefix(t.found.Do, "at the replica: "), ";")
		t.Exec(t.T, advice)
	}},
	{name: "replica-clock", severity: check.Warning, options: check.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }}, follow: func(t *target) { t.options.Now = nil }},
}

// tls is how the replica logs in where the account wants it so.
func (t *target) tls() string {
	if t.Kind == servertest.MySQL97 {
		return "skip-verify"
	}
	return ""
}

func copyUUID(t *target) func() {
	from, err := os.ReadFile(filepath.Join(t.source.Datadir, "auto.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Kill()
	if err := os.WriteFile(filepath.Join(t.Datadir, "auto.cnf"), from, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Restart(t.T)
	return nil
}

func TestEnds(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		source, s := servertest.Start(t, k), servertest.Start(t, k)
		source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
		for _, p := range replicas {
			if p.only == nil || p.only(k) {
				t.Run(p.name+"/"+string(p.severity), func(t *testing.T) { p.run(t, s, source) })
			}
		}
		follow(t, source, s)
	})
}

// follow has a replica follow its source, and leaves it in each way that is found.
func follow(t *testing.T, source, s *servertest.Server) {
	s.Exec(t, "SET GLOBAL read_only=ON")
	source.Exec(t, "CREATE USER r2 IDENTIFIED "+nativePassword(source.Kind)+" BY 'x'", "GRANT REPLICATION SLAVE ON *.* TO r2")
	at := replicatest.Position(t, source)
	if _, err := replica.Point(t.Context(), open(t, s.Config()), replica.Source{Host: "127.0.0.1", Port: source.Port, User: "r2", Password: "x", Position: at, TLS: replica.TLS{Use: source.Kind == servertest.MySQL97}}, replica.Options{ResetLog: true, Server: open(t, source.Config())}); err != nil {
		t.Fatal(err)
	}
	if mySQL(s.Kind) {
		s.Exec(t, "SET GLOBAL super_read_only=OFF") // so that somebody may write there who should not
	}
	start(t, s)
	d := dialect(t, s)
	for _, p := range []provoked{
		{name: "replica-stopped", severity: check.Problem, before: []string{d.Stop("", "")}, advice: []string{d.Start("", "") + ";"}},
		{name: "replica-stopped", severity: check.Problem, do: func(t *target) func() {
			source.Exec(t.T, "CREATE DATABASE both_have", "CREATE TABLE both_have.t (id INT PRIMARY KEY)")
			for deadline := time.Now().Add(replicatest.Limit); len(t.Query(t.T, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA='both_have'")) == 0; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the replica does not follow")
				}
			}
			t.Exec(t.T, "SET sql_log_bin=0", "INSERT INTO both_have.t VALUES (5)")
			source.Exec(t.T, "INSERT INTO both_have.t VALUES (5)")
			return nil
		}, follow: func(t *target) {
			if !strings.Contains(t.found.Says, "1062") || !strings.Contains(t.found.Do, "Somebody wrote at the replica") {
				t.Errorf("%+v", t.found)
			}
			t.Exec(t.T, "SET sql_log_bin=0", "DELETE FROM both_have.t")
			start(t.T, t.Server)
		}},
		{name: "replica-events", severity: check.Warning, object: "app.e", before: []string{"CREATE DATABASE IF NOT EXISTS app", "SET GLOBAL event_scheduler=ON", "CREATE EVENT app.e ON SCHEDULE EVERY 1 DAY DO DO 1"}, advice: []string{"ALTER EVENT `app`.`e` DISABLE ON SLAVE;"}},
	} {
		t.Run(p.name+"/"+string(p.severity), func(t *testing.T) { p.run(t, s, source) })
	}
	t.Run("paused", func(t *testing.T) { testPaused(t, source, s) })
	t.Run("slave-grants", func(t *testing.T) { testSlaveGrants(t, s) })
	if s.Kind == servertest.MariaDB1011 || s.Kind == servertest.MySQL57 {
		p := provoked{name: "log-slave-updates-off", severity: check.Problem, do: restarted("--skip-log-slave-updates"), follow: plainRestart}
		t.Run(p.name, func(t *testing.T) { p.run(t, s, nil) })
	}
}

func nativePassword(k servertest.Kind) string {
	if k == servertest.MySQL57 {
		return "WITH mysql_native_password"
	}
	return ""
}

func dialect(t *testing.T, s *servertest.Server) server.Dialect {
	t.Helper()
	c, err := open(t, s.Config()).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := c.Dialect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func status(t *testing.T, s *servertest.Server) (replica.Status, server.Identity) {
	t.Helper()
	c, err := open(t, s.Config()).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := replica.Channels(t.Context(), c)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[0], id
}

// start starts the threads, and waits until both run.
func start(t *testing.T, s *servertest.Server) {
	t.Helper()
	s.Exec(t, dialect(t, s).Start("", ""))
	for deadline := time.Now().Add(replicatest.Limit); ; time.Sleep(20 * time.Millisecond) {
		now, _ := status(t, s)
		if now.Runs() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", now)
		}
	}
}

// A thread that a killed backup left is started, once; one that somebody has moved since is not, nor one that is held still.
func testPaused(t *testing.T, source, s *servertest.Server) {
	start(t, s)
	s.Exec(t, dialect(t, s).Stop("", "SQL_THREAD"))
	now, id := status(t, s)
	folder := t.TempDir()
	note := func(at mysqldump.Position) *server.PauseNote {
		n, err := server.NotePaused(folder, server.Paused{Hostname: id.Hostname, Port: id.Port, ServerID: id.ServerID, UUID: id.ServerUUID, From: at})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	find := func(severity check.Severity, runs string) {
		t.Helper()
		found := lookAtEnds(&target{T: t, Server: s, source: source, config: s.Config(), options: check.Options{Notes: folder}})
		f := find(found, "replica-stopped", "")
		if severity == "" && f != nil || severity != "" && (f == nil || f.Severity != severity) {
			t.Errorf("found %+v, want %q", f, severity)
		}
		if now, _ := status(t, s); now.SQL != runs {
			t.Errorf("the SQL thread runs: %s, want %s", now.SQL, runs)
		}
	}
	held := note(now.Executed)
	find(check.Problem, "No")
	held.Close()
	moved := now.Executed
	moved.Offset -= 1
	note(moved).Close()
	find(check.Problem, "No")
	note(now.Executed).Close()
	find(check.Note, "Yes")
	find("", "Yes")
	if left, _, err := server.LeftPaused(folder); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

// What a dump needs of a slave is more.
func testSlaveGrants(t *testing.T, s *servertest.Server) {
	p := &privileged{T: t, Server: s, dialect: dialect(t, s)}
	s.Exec(t, "CREATE USER `back``up`@`%`")
	stop := []string{p.dialect.Stop("", "SQL_THREAD"), p.dialect.Start("", "SQL_THREAD")}
	for try := 0; ; try++ { // the account has to see that it is a slave, first
		grant := p.grant(check.Dump)
		t.Log(grant)
		if grant == "" {
			break
		}
		if try == 2 {
			t.Fatalf("more and more: %s", grant)
		}
		if err := p.try(stop...); err == nil {
			t.Errorf("it may stop the slave without %s", grant)
		}
		s.Exec(t, grant)
	}
	if err := p.try(stop...); err != nil {
		t.Error(err)
	}
}

// A replica is not older than its source, and of its family.
func TestVersions(t *testing.T) {
	t.Parallel()
	servers := map[servertest.Kind]*servertest.Server{}
	for _, k := range servertest.Kinds(t) {
		servers[k] = servertest.Start(t, k)
	}
	for _, c := range []struct {
		source, replica servertest.Kind
		severity        check.Severity // empty: none
	}{
		{servertest.MariaDB1011, servertest.MySQL57, check.Problem}, {servertest.MySQL57, servertest.MariaDB1011, check.Warning}, {servertest.MariaDB118, servertest.MariaDB1011, check.Problem},
		{servertest.MariaDB1011, servertest.MariaDB118, ""}, {servertest.MySQL97, servertest.MySQL57, check.Problem}, {servertest.MySQL57, servertest.MySQL97, check.Warning},
	} {
		if servers[c.source] == nil || servers[c.replica] == nil {
			t.Logf("NOT TESTED: %s as a replica of %s", c.replica, c.source)
			continue
		}
		found := lookAtEnds(&target{T: t, source: servers[c.source], config: servers[c.replica].Config()})
		f := find(found, "replica-version", "")
		if c.severity == "" && f != nil || c.severity != "" && (f == nil || f.Severity != c.severity) {
			t.Errorf("%s as a replica of %s: %+v", c.replica, c.source, f)
		}
	}
}
