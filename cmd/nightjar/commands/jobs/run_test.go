package jobs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/runlog"
	"nightjar/job"
	"nightjar/job/jobfile"
	"nightjar/job/record"
)

// TestRunBeside has a job that becomes due run while another takes long.
func TestRunBeside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := jobfile.Parse("/x.toml", []byte("[files.slow]\nschedule = \"0 3 * * *\"\npaths = [\"/\"]\n[files.quick]\nschedule = \"15 3 * * *\"\ncatch-up = \"1h\"\npaths = [\"/\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Int64
	set := func(h, m int) { clock.Store(time.Date(2026, 11, 29, h, m, 0, 0, time.Local).UnixNano()) }
	set(3, 5)
	a := &app.App{Out: os.Stdout, Err: os.Stderr}
	a.Warn, a.Getenv = func(err error) { t.Log(err) }, os.Getenv
	a.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	log, err := runlog.Open(jobfile.Log{}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	const script = `cd "$0"; for a; do case $a in --job=slow) echo >begun; read x <go;; --job=quick) echo >ran;; esac; done; echo {}`
	r := &jobRuns{App: a, file: file, flags: &runFlags{due: true, noRecord: true}, states: jobstate.In(dir), command: []string{"sh", "-c", script, dir}, environ: os.Environ(), log: log}
	if err := exec.Command("mkfifo", filepath.Join(dir, "go")).Run(); err != nil {
		t.Fatal(err)
	}
	wait := func(name string) {
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return
			}
		}
		t.Errorf("%s is never there", name)
	}
	tick, done := make(chan time.Time), make(chan struct{})
	jobs := file.Jobs()
	go func() {
		defer close(done)
		r.runDue(context.Background(), jobs, job.Plan(a.Now(), time.Local, a.HostName, jobs, nil), a.Now(), tick)
	}()
	wait("begun")
	tick <- time.Time{} // nothing is due beside it
	set(3, 16)
	tick <- time.Time{}
	wait("ran")
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-done
	if len(r.ran) != 2 || r.worst != 0 {
		t.Errorf("%d were run, worst %d", len(r.ran), r.worst)
	}
}

// TestRunTends has a job's command go on with copies at later looks, without another run.
func TestRunTends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := jobfile.Parse("/x.toml", []byte("[ebs.x]\nschedule = \"0 3 * * *\"\nto-region = \"eu-west-1\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.Local)
	a := &app.App{Out: os.Stdout, Err: os.Stderr}
	a.Warn, a.Getenv = func(err error) { t.Log(err) }, os.Getenv
	a.Now = func() time.Time { return at.Add(time.Hour) }
	log, err := runlog.Open(jobfile.Log{}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	r := &jobRuns{App: a, file: file, flags: &runFlags{due: true, noRecord: true}, states: jobstate.In(dir), command: []string{"sh", "-c", `echo "$@" >>"$0"/said`, dir}, environ: os.Environ(), log: log}
	before := jobstate.State{State: job.State{For: at, Start: at, End: at.Add(time.Minute), Outcome: record.Done}}
	if err := r.states.Write("x", before); err != nil {
		t.Fatal(err)
	}
	jobs := file.Jobs()
	plan := job.Plan(a.Now(), time.Local, a.HostName, jobs, r.plainStates(jobs))
	r.runDue(context.Background(), jobs, plan, a.Now(), nil)
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if err != nil || strings.Count(string(said), "\n") != 1 || !strings.Contains(string(said), "ebs schedule --run") {
		t.Errorf("it was called as %q: %v", said, err)
	}
	if after, err := r.states.Read("x"); err != nil || !after.End.Equal(before.End) || len(r.ran) > 0 {
		t.Errorf("it counts as a run: %+v, %v", after, err)
	}
}

// A service is told of when it has begun, from hour to hour, and when its outcome changes; a run of it that begins anew is told of at once.
func TestAlive(t *testing.T) {
	t.Parallel()
	file, err := jobfile.Parse("/x.toml", []byte("[binlog.logs]\nfollow = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	now := begun
	a := &app.App{Out: os.Stdout, Err: os.Stderr}
	a.Warn, a.Getenv = func(err error) { t.Log(err) }, os.Getenv
	a.Now = func() time.Time { return now }
	r := &jobRuns{App: a, file: file, flags: &runFlags{noRecord: true}, states: jobstate.In(t.TempDir())}
	x := &jobRun{Job: file.Jobs()[0], Record: record.Record{Job: "logs", Kind: "binlog", Start: begun}}
	var s jobstate.State
	result := []byte(`{"archive": {"id": "` + strings.Repeat("ab", 32) + `", "labels": {"position": "bin.000001:4"}}, "problems": 0}`)
	for _, step := range []struct {
		after  time.Duration
		result string
		told   bool
	}{{time.Second, string(result), true}, {30 * time.Minute, string(result), false}, {61 * time.Minute, string(result), true}, {62 * time.Minute, `{"problems": 1}`, true}, {63 * time.Minute, `{"problems": 1}`, false}} {
		now = begun.Add(step.after)
		r.alive(context.Background(), x, &s, []byte(step.result))
		got, err := r.states.Read("logs")
		if err != nil || got.End.Equal(now) != step.told || !got.Success.Equal(got.End) || got.Notes["running"] == "" || got.Archive != "" {
			t.Errorf("after %v: %+v, %v", step.after, got, err)
		}
	}
	x.Start = now.Add(time.Second)
	now = now.Add(2 * time.Second)
	if r.alive(context.Background(), x, &s, result); !s.End.Equal(now) || s.Outcome != record.Done {
		t.Errorf("another run: %+v", s)
	}
}
