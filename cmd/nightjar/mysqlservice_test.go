package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/mysqldump/servertest"
)

// A service is recorded while it runs, and not by its end alone: its server, which writes nothing, is not what makes it known.
func TestServiceIsRecorded(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	d := &dumper{T: t, home: t.TempDir()}
	d.knows(s)
	file, text := filepath.Join(d.home, "nightjar.toml"), filepath.Join(d.home, "nightjar.prom")
	toml := "[metrics]\ntextfile = \"" + text + "\"\n[binlog.logs]\nfollow = true\ninterval = \"1s\"\ndefaults-file = \"" + filepath.Join(d.home, "my.cnf") + "\"\n"
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "NIGHTJAR_CONFIG="+file)
	d.must("init")
	status := func() (l overview.Line) {
		t.Helper()
		out, said, code := d.run("status", "--json")
		var lines []overview.Line
		if err := json.Unmarshal([]byte(out), &lines); err != nil || code != 0 && code != 3 {
			t.Fatalf("%d, %v: %s", code, err, said)
		}
		for _, line := range lines {
			if line.Job == "logs" {
				l = line
			}
		}
		return l
	}
	wait := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(3 * time.Minute); !is(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: never: %+v", what, status())
			}
		}
	}
	r := d.begin("run", "logs")
	written := func() bool { _, err := os.Stat(text); return err == nil }
	wait("metrics are written", written)
	l := status()
	if l.State != overview.OK || l.Running.IsZero() || l.Success.IsZero() || l.Position == nil || l.Position.Behind == nil || *l.Position.Behind != 0 || l.Waiting {
		t.Errorf("while it runs it is %+v", l)
	}
	if err := os.Remove(text); err != nil {
		t.Fatal(err)
	}
	archives := d.stored("archive")
	s.Exec(t, "CREATE DATABASE more")
	wait("what is new is saved", func() bool { return d.stored("archive") > archives })
	if err := r.Process.Kill(); err != nil { // as a machine does that loses its power
		t.Fatal(err)
	}
	d.end(r)
	if n := d.stored("archive"); n > archives+2 || written() {
		t.Errorf("%d archives after %d: more is recorded than once in an hour", n, archives)
	}
	r = d.begin("run", "logs")
	wait("it is recorded anew", written)
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	d.end(r)
	if l := status(); !l.Running.IsZero() || l.State != overview.OK {
		t.Errorf("after its end it is %+v", l)
	}
}
