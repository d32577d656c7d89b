package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/servertest"
)

// A dumper runs nightjar as the nightly job of a database server does.
type dumper struct {
	*testing.T
	home   string
	env    []string
	before []string // a program that runs nightjar, with its arguments
}

// A running is a command that has been started.
type running struct {
	*exec.Cmd
	out, said bytes.Buffer
}

func (d *dumper) begin(args ...string) *running {
	d.Helper()
	program, err := exec.LookPath("nightjar") // testscript.Main puts it there
	if err != nil {
		d.Fatal(err)
	}
	line := slices.Concat(d.before, []string{program}, args)
	r := &running{Cmd: exec.CommandContext(d.Context(), line[0], line[1:]...)}
	r.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.home, "NIGHTJAR_REPO=" + filepath.Join(d.home, "repo"), "NIGHTJAR_STATE_DIR=" + filepath.Join(d.home, "state"),
		"NIGHTJAR_CACHE_DIR=" + filepath.Join(d.home, "cache"), "TMPDIR=" + d.TempDir(), "PASSPHRASE=p", noRaceSleep,
	}, d.env...)
	r.Stdout, r.Stderr = &r.out, &r.said
	if err := r.Start(); err != nil {
		d.Fatal(err)
	}
	return r
}

// end waits for the end of the command; code is -1 if a signal was its end.
func (d *dumper) end(r *running) (stdout, stderr string, code int) {
	d.Helper()
	var exit *exec.ExitError
	if err := r.Wait(); err != nil && !errors.As(err, &exit) {
		d.Fatal(err)
	}
	return r.out.String(), r.said.String(), r.ProcessState.ExitCode()
}

func (d *dumper) run(args ...string) (stdout, stderr string, code int) {
	d.Helper()
	return d.end(d.begin(args...))
}

// must runs what has to succeed.
func (d *dumper) must(args ...string) string {
	d.Helper()
	out, said, code := d.run(args...)
	if code != 0 {
		d.Fatalf("nightjar %s: %d\n%s", strings.Join(args, " "), code, said)
	}
	return out
}

// dumped is what a test reads of --json.
type dumped struct {
	Archive struct {
		Kind   string
		Labels map[string]string
	}
	Statistics map[string]uint64
	Dump       struct {
		Tables, Rows uint64
		Broken       []struct{ Name string }
	}
}

func (d *dumper) dump(want int, args ...string) (r dumped, said string) {
	d.Helper()
	out, said, code := d.run(append([]string{"mysql", "dump", "--json", "--defaults-file", filepath.Join(d.home, "my.cnf")}, args...)...)
	if code != want {
		d.Fatalf("nightjar mysql dump %s: %d, not %d\n%s%s", strings.Join(args, " "), code, want, out, said)
	}
	if code == 0 || code == 3 {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			d.Fatal(err)
		}
	}
	return r, said
}

// What is dumped into a repository, restored as files and loaded by the server's own client is what there was.
func TestMySQLDump(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			d := &dumper{T: t, home: t.TempDir()}
			if err := os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40), f FLOAT)", "INSERT INTO orders VALUES (0,'zero',16777215),(1,'one',NULL)",
				"CREATE TABLE old (a INT) ENGINE=MyISAM", "INSERT INTO old VALUES (1)", "CREATE VIEW v AS SELECT id FROM orders", "CREATE DATABASE other", "CREATE TABLE other.x (a INT PRIMARY KEY)")
			d.must("init")
			first, _ := d.dump(0)
			if first.Archive.Kind != "mysql-dump" || first.Dump.Tables != 3 || first.Dump.Rows != 3 || first.Archive.Labels["method"] != "dump" {
				t.Errorf("%+v", first)
			}
			if p, err := mysqldump.Parse(first.Archive.Labels["position"]); err != nil || p.File == "" || p.ServerID != s.ServerID {
				t.Errorf("position %v: %v", p, err)
			}
			second, _ := d.dump(0)
			if n := second.Statistics["changed"]; n > 1 { // the file that says the position
				t.Errorf("of an unchanged server %d files are changed", n)
			}
			d.loaded(s, k)
			d.refusals(s)
		})
	}
}

func (d *dumper) loaded(s *servertest.Server, k servertest.Kind) {
	d.Helper()
	out := filepath.Join(d.home, "out")
	d.must("restore", "latest", "--kind", "mysql-dump", "--target", out)
	into := servertest.Start(d, k)
	client := into.Client(d).Args
	c := exec.CommandContext(d.Context(), "sh", append([]string{"-c", `cd "$0" && cat $(ls | sort) | "$@"`, filepath.Join(out, "mysql")}, client...)...)
	if text, err := c.CombinedOutput(); err != nil {
		d.Fatalf("load: %v\n%s", err, text)
	}
	if want, got := fmt.Sprint(servertest.Checksums(d, s)), fmt.Sprint(servertest.Checksums(d, into)); got != want {
		d.Errorf("%s was restored, not %s", got, want)
	}
}

// refusals are dumps that must not be taken for complete ones.
func (d *dumper) refusals(s *servertest.Server) {
	d.Helper()
	for _, wrong := range [][]string{{"--lock=some"}, {"--broken=ignore"}, {"--threads=0"}, {"--label=position=1"}, {"--exclude-table=x"}, {"a\\"}, {"--ddl-retries=-1"}} {
		d.dump(2, wrong...)
	}
	if _, said := d.dump(1, "--lock=none"); !strings.Contains(said, "shop.old") {
		d.Errorf("a table outside of snapshots: %s", said)
	}
	if r, _ := d.dump(0, "--exclude-table=*.old", "shop"); r.Dump.Tables != 1 {
		d.Errorf("%+v", r)
	}
	if r, _ := d.dump(0, "other.x"); r.Dump.Tables != 1 || r.Dump.Rows != 0 {
		d.Errorf("%+v", r)
	}
	if _, said := d.dump(1, "absent"); !strings.Contains(said, "absent") {
		d.Errorf("a database that is not there: %s", said)
	}
	s.Exec(d, "CREATE TABLE other.gone (a INT)", "CREATE VIEW other.broken AS SELECT a FROM other.gone", "DROP TABLE other.gone")
	if _, said := d.dump(1); !strings.Contains(said, "other.broken") || !strings.Contains(said, "--broken skip") {
		d.Errorf("a broken view: %s", said)
	}
	if r, said := d.dump(3, "--broken=skip"); len(r.Dump.Broken) != 1 || !strings.Contains(said, "other.broken") {
		d.Errorf("a broken view is skipped: %+v %s", r, said)
	}
	s.Exec(d, "CREATE USER less@'%' IDENTIFIED BY 'pw'", "GRANT SELECT, PROCESS, RELOAD ON *.* TO less@'%'")
	password := filepath.Join(d.home, "password")
	if err := os.WriteFile(password, []byte("pw\n"), 0o600); err != nil {
		d.Fatal(err)
	}
	less := fmt.Sprintf("less@%s:%d", s.Host, s.Port)
	if _, said := d.dump(1, "--server", less, "--password-file", password); !strings.Contains(said, "lacks TRIGGER, EVENT on *.*") || !strings.Contains(said, "nightjar mysql check prints the GRANT") {
		d.Errorf("an account that sees less: %s", said)
	}
	if _, said := d.dump(1, "--server", "nobody@"+strings.TrimPrefix(less, "less@"), "--password-file", password); !strings.Contains(said, "[nightjar] of ~/.my.cnf") {
		d.Errorf("an account that is not there: %s", said)
	}
	s.Stop(d)
	if _, said := d.dump(1); !strings.Contains(said, "does the server run") {
		d.Errorf("a server that does not run: %s", said)
	}
}
