package torture

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A step is a command that is killed at a random point, and then run again.
type step struct {
	name    string
	prepare func(m *machine) // nil: nothing
	args    func(m *machine) []string
	after   func(m *machine) // what must hold after the run that was let be; nil: what holds of all
}

func backupSource(m *machine) []string { return []string{"backup", m.src} }

func forgetOld(*machine) []string { return []string{"forget", "--keep-last", fmt.Sprint(kept)} }

func pruneRepository(*machine) []string { return []string{"prune"} }

func copyAway(m *machine) []string { return []string{"copy", "--to", m.path("away"), "--delete"} }

func restoreNewest(m *machine) []string {
	return []string{"restore", m.newest() + ":" + m.src, "--target", m.path("target/to"), "--overwrite", "always"}
}

// steps are the commands that change something. Each has a line.
var steps = []step{
	{"backup", (*machine).night, backupSource, (*machine).newestIsNow},
	{"forget", (*machine).backup, forgetOld, nil},
	{"prune", (*machine).age, pruneRepository, (*machine).restoreAll},
	{"copy", (*machine).another, copyAway, (*machine).awayIsWhole},
	{"restore", (*machine).empty, restoreNewest, (*machine).targetIsNewest},
}

func (m *machine) newest() string { all := m.archives(); return all[len(all)-1] }

// age backs up, and makes all that waits for a grace period to pass old enough.
func (m *machine) age() {
	m.t.Helper()
	m.another()
	old(m.t, m.path("repo"))
}

// another makes one more archive.
func (m *machine) another() {
	m.t.Helper()
	m.night()
	m.backup()
}

// awayIsWhole wants the copy to have all that the repository has, and the newest archive to come back from it.
func (m *machine) awayIsWhole() {
	m.t.Helper()
	m.want(0, "", "check", "--repo", m.path("away"), "--cache-dir", m.path("cold"))
	m.restore(m.newest(), "--repo", m.path("away"))
}

func (m *machine) empty() { must(m.t, os.RemoveAll(m.path("target/to"))) }

func (m *machine) targetIsNewest() { m.same(m.newest(), m.path("target/to")) }

func (m *machine) newestIsNow() { m.restore(m.newest()) }

// TestKill kills commands at random points: half of them at a random time, half at a random one of the calls that change a file system.
// The same command then succeeds, without a word, and nothing that was committed is lost.
func TestKill(t *testing.T) {
	need(t, "strace")
	r := random(1)
	killSteps(t, newMachine(t, r, ""), r, rounds(1000, 12))
}

// usual is what a step does when it is let be: how long it takes, and how many changes the busiest of its threads makes.
type usual struct {
	time    time.Duration
	changes int
}

// killSteps is for a machine that has no repository yet.
func killSteps(t *testing.T, m *machine, r *rand.Rand, want int) {
	t.Helper()
	m.want(0, "", "init", "--quiet")
	m.backup()
	m.want(0, "recovery kit", append(copyAway(m), "--create")...)
	does := map[string]*usual{}
	for _, s := range steps {
		if s.prepare != nil {
			s.prepare(m)
		}
		begin := time.Now()
		m.want(0, "", s.args(m)...)
		does[s.name] = &usual{time: time.Since(begin)}
		m.learn()
		if s.prepare != nil {
			s.prepare(m)
		}
		does[s.name].changes = m.countChanges(s.args(m)...)
		m.learn()
	}
	killed := map[string]int{}
	total, late := 0, 0 // late: at a change that was not a thread's first
	for round := 0; total < want || late == 0; round++ {
		if round > 20*want {
			t.Fatalf("only %d of %d rounds were killed, %d at a change after a thread's first", total, round, late)
		}
		s := steps[round%len(steps)]
		if s.prepare != nil {
			s.prepare(m)
		}
		args, is := s.args(m), does[s.name]
		how := ""
		var dead bool
		if after := time.Duration(r.Int64N(int64(is.time))); round/len(steps)%2 == 0 {
			how = fmt.Sprintf("after %v", after)
			dead = m.killAfter(after, args...)
		} else {
			nth := 1 + r.IntN(1+r.IntN(is.changes)) // rather early: no thread may make as many as one did
			how = fmt.Sprintf("at change %d of a thread", nth)
			if dead = m.start(killAt(nth, changes), args...).code == -1; dead && nth > 1 {
				late++
			}
		}
		if dead {
			total++
			killed[s.name]++
		}
		// A run that was killed may have committed, and said nothing; what it committed counts.
		m.learn()
		begin := time.Now()
		again := m.run(args...)
		is.time = (is.time + time.Since(begin)) / 2
		if again.code != 0 || again.stderr != "" {
			t.Fatalf("%s after one that was killed %s: exit code %d\n%s", s.name, how, again.code, again.stderr)
		}
		m.learn()
		if s.after != nil {
			s.after(m)
		}
		if round%10 == 9 {
			m.want(0, "", "check")
		}
		if round%100 == 99 {
			m.whole()
			m.restoreAll()
			t.Logf("so far: %v", killed)
		}
	}
	m.whole()
	m.restoreAll()
	survived(t, total, fmt.Sprintf("commands killed: %v, %d at a change after a thread's first; %d archives came back", killed, late, len(m.archives())))
}

// killAfter says whether the kill came before the end.
func (m *machine) killAfter(d time.Duration, args ...string) bool {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	c := m.command(ctx, nil, args...)
	err := c.Run()
	if c.ProcessState == nil && ctx.Err() == nil {
		m.t.Fatal(err)
	}
	return c.ProcessState != nil && c.ProcessState.ExitCode() == -1
}

// changes are calls that change a file system.
const changes = "write,pwrite64,mkdirat,renameat,renameat2,linkat,symlinkat,unlinkat,ftruncate,fsync,fdatasync,syncfs,fchmod,fchmodat,utimensat"

// killAt has strace kill a program as one of its threads makes its nth of some calls, before the call does anything.
// With --seccomp-bpf strace sends a signal at no call but the first that a thread makes.
func killAt(nth int, calls string) []string {
	return []string{"strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, nth)}
}

// countChanges runs a command, which succeeds, and counts the changes of each of its threads. It returns the most.
func (m *machine) countChanges(args ...string) (most int) {
	m.t.Helper()
	dir := m.t.TempDir()
	if r := m.start([]string{"strace", "-ff", "-qq", "-e", "signal=none", "-o", filepath.Join(dir, "calls"), "-e", "trace=" + changes}, args...); r.code != 0 || r.stderr != "" {
		m.t.Fatalf("%s: exit code %d\n%s", args[0], r.code, r.stderr)
	}
	threads, err := filepath.Glob(filepath.Join(dir, "calls.*"))
	must(m.t, err)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		must(m.t, err)
		most = max(most, bytes.Count(text, []byte("\n")))
	}
	if most < 2 {
		m.t.Fatalf("%s made %d changes", args[0], most)
	}
	return most
}

// TestKillTarget kills a restore at each call that gives its target attributes, when it was made long ago. The next run gives it all of them.
func TestKillTarget(t *testing.T) {
	need(t, "strace")
	m := newMachine(t, random(4), "")
	m.want(0, "", "init", "--quiet")
	must(t, os.RemoveAll(m.src))
	must(t, os.Mkdir(m.src, 0o755))
	m.backup()
	args := restoreNewest(m)
	for _, call := range []string{"utimensat", "fchmod", "fremovexattr"} {
		for nth := 1; ; nth++ {
			m.empty()
			if m.start(killAt(nth, call), args...).code != -1 {
				if nth == 1 {
					t.Errorf("%s was not called", call)
				}
				break
			}
			m.want(0, "", args...)
			m.targetIsNewest()
		}
	}
}
