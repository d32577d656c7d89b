package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helper is the variable that has this test's program start a command and tell its process number.
const helper = "NIGHTJAR_CHILD_TEST"

func TestMain(m *testing.M) {
	if script := os.Getenv(helper); script != "" {
		p, err := Start(context.Background(), Command{Args: []string{"/bin/sh", "-c", script}, Env: os.Environ()})
		if err != nil {
			panic(err)
		}
		fmt.Println(p.cmd.Process.Pid)
		_, _ = io.Copy(io.Discard, p)
		return
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// marked returns an environment that tells the processes of a test, and a function that counts those that live: all, or those of a name. At the end of the
// test they are killed.
func marked(t *testing.T) (env []string, alive func(names ...string) int) {
	mark := "MARK=" + t.TempDir()
	living := func(names ...string) (pids []int) {
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range all {
			if b, _ := os.ReadFile(path); !bytes.Contains(b, []byte(mark)) {
				continue
			}
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil && (len(names) == 0 || slices.Contains(names, strings.TrimSpace(string(name)))) {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	t.Cleanup(func() {
		for _, pid := range living() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return []string{"PATH=" + os.Getenv("PATH"), mark}, func(names ...string) int { return len(living(names...)) }
}

// waitFor waits for a condition, for longer than a slow machine takes.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(look / 2) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func shell(env []string, script string) Command {
	return Command{Args: []string{"sh", "-c", script}, Env: env}
}

func TestOutput(t *testing.T) {
	env, alive := marked(t)
	ctx := context.Background()
	c := shell(append(env, "A=b"), `cat; echo $A; cat <&3; ps -o pgid= -p $$`)
	c.Stdin = strings.NewReader("in ")
	f, err := os.Open("/dev/null")
	must(t, err)
	defer f.Close()
	c.Files = []*os.File{f}
	out, err := Output(ctx, c, 100)
	lines := strings.Fields(string(out))
	if err != nil || len(lines) != 3 || lines[0] != "in" || lines[1] != "b" {
		t.Errorf("%q, %v", out, err)
	}
	if own := lines[2] != strconv.Itoa(syscall.Getpgrp()); own == hasTerminal() {
		t.Errorf("its group is %s, ours %d", lines[2], syscall.Getpgrp())
	}
	if out, err := Output(ctx, shell(env, "yes"), 100); err == nil || out != nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("%q, %v", out, err)
	}
	out, err = Output(ctx, shell(env, "echo half; (yes | head -c 1000000; echo; echo last words) >&2; exit 7"), 100)
	if !errors.Is(err, ErrFailed) || out != nil || !strings.HasPrefix(err.Error(), "run sh: exit status 7: ") || !strings.HasSuffix(err.Error(), "last words") || len(err.Error()) > lastWord+100 {
		t.Errorf("%q, %.200v", out, err)
	}
	var seen bytes.Buffer
	c = shell(env, "echo oops >&2; kill -9 $$")
	c.Stderr = &seen
	if _, err = Output(ctx, c, 100); !errors.Is(err, ErrFailed) || err.Error() != "run sh: signal: killed" || seen.String() != "oops\n" {
		t.Errorf("%v, said %q", err, seen.String())
	}
	for path, want := range map[string]string{
		"/no/such/program": "run /no/such/program: no such file or directory", "/etc": "run /etc: permission denied", "no-such-program": "run no-such-program: executable file not found in $PATH",
	} {
		if _, err := Output(ctx, Command{Args: []string{path}}, 100); err == nil || errors.Is(err, ErrFailed) || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := alive(); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// A program that fails is never read to a good end, however late its reader looks.
func TestFailsUnread(t *testing.T) {
	t.Parallel()
	env, _ := marked(t)
	for range 12 { // the order in which the ends of things are seen is left to chance
		p, err := Start(context.Background(), shell(env, "echo half; kill -PIPE $$"))
		must(t, err)
		<-p.gone
		if _, err := io.ReadAll(p); !errors.Is(err, ErrFailed) || err.Error() != "run sh: signal: broken pipe" {
			t.Errorf("%v", err)
		}
		p.Stop()
	}
}

// The tests that leave processes without parents behind do not run beside each other: in a process group that they share, each program takes the orphans of the others for its own.

// However a program, and what it started, holds on: when its context ends, nothing of it is left soon, and its reader knows why.
func TestEnds(t *testing.T) {
	for name, script := range map[string]string{
		"obeys":                   "echo begun; exec sleep 600",
		"waits for another":       "echo begun; sleep 600; echo end",
		"pipeline":                "echo begun; sleep 600 | cat",
		"left another, its pipe":  "sleep 600 & echo begun",
		"others hold the pipe":    "sleep 600 & sleep 600 & echo begun; wait",
		"closes its output":       "echo begun; exec >&- 2>&-; sleep 600",
		"ignores TERM":            "trap '' TERM; echo begun; sleep 600; sleep 600",
		"child ignores TERM":      "(trap '' TERM; echo begun; sleep 600; sleep 600); echo end",
		"orphan ignores TERM":     "(trap '' TERM; echo begun; sleep 600; sleep 600) & exit 0",
		"groups of their own":     "set -m; sleep 600 & echo begun; sleep 600; wait",
		"session of its own":      "echo begun; setsid sh -c 'sleep 600; echo end'; echo end",
		"stopped":                 "sleep 600 & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!; echo begun; kill -STOP $$; echo end", // once it is another program
		"TERM starts another":     "trap 'sleep 600' TERM; echo begun; sleep 600",
		"prints without end":      "echo begun; exec yes",
		"its child failed before": "echo begun; false; sleep 600",
	} {
		t.Run(name, func(t *testing.T) {
			env, alive := marked(t)
			ctx, cancel := context.WithCancelCause(context.Background())
			c := shell(env, script)
			c.Grace = 300 * time.Millisecond
			p, err := Start(ctx, c)
			must(t, err)
			defer p.Stop()
			if b, err := io.ReadAll(io.LimitReader(p, 6)); string(b) != "begun\n" || err != nil {
				t.Fatalf("%q, %v", b, err)
			}
			others := max(1, min(2, strings.Count(script, "sleep 600 &")+strings.Count(script, "begun; sleep 600; wait")))
			waitFor(t, "all are there", func() bool { return alive("sleep", "yes") >= others })
			begun, why := time.Now(), errors.New("why")
			cancel(why)
			for err == nil {
				_, err = p.Read(make([]byte, 1<<20))
			}
			if !errors.Is(err, why) {
				t.Errorf("ends with %v", err)
			}
			if _, again := p.Read(make([]byte, 1)); again != err {
				t.Errorf("and then with %v", again)
			}
			p.Stop()
			if n := alive(); n != 0 {
				t.Errorf("%d processes are left", n)
			}
			if d := time.Since(begun); d > 5*time.Minute {
				t.Errorf("after %v", d)
			}
		})
	}
}

// One that fails ends what it leaves behind, which would keep its reader waiting; one that succeeds leaves what it means to leave.
func TestLeavesBehind(t *testing.T) {
	env, alive := marked(t)
	begun := time.Now()
	if _, err := Output(context.Background(), shell(env, "sleep 600 & exit 7"), 10); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if n := alive(); n != 0 || time.Since(begun) > 5*time.Minute {
		t.Errorf("%d processes are left after %v", n, time.Since(begun))
	}
	out, err := Output(context.Background(), shell(env, "sleep 600 >/dev/null 2>&1 & echo $!"), 10)
	must(t, err)
	waitFor(t, "one is left", func() bool { return alive() == 1 }) // one that is becoming another program has no environment for a moment
	var pid int
	_, err = fmt.Sscan(string(out), &pid)
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))

	// What one in the background still prints belongs to the output.
	if out, err := Output(context.Background(), shell(env, "(sleep 0.3; echo late) & echo soon"), 100); err != nil || string(out) != "soon\nlate\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// With a drain, whoever holds the output of a program that has succeeded is not waited for; what is in the pipe by then is read, by a late reader too.
func TestDrain(t *testing.T) {
	env, alive := marked(t)
	c := shell(env, "sleep 600 & echo $!; (sleep 600; echo never) & echo $!")
	c.Drain = 50 * time.Millisecond
	p, err := Start(context.Background(), c)
	must(t, err)
	defer p.Stop()
	<-p.exited
	raw, err := p.output.SyscallConn()
	must(t, err)
	for !errors.Is(raw.Read(func(uintptr) bool { return true }), os.ErrDeadlineExceeded) { // the drain is not over
		runtime.Gosched()
	}
	out, err := io.ReadAll(p)
	must(t, err)
	left := strings.Fields(string(out))
	if len(left) != 2 {
		t.Fatalf("%q", out)
	}
	waitFor(t, "both live on", func() bool { return alive("sleep") == 2 })
	p.Stop()
	if n := alive("sleep"); n != 2 {
		t.Errorf("of two that are meant to stay %d are left", n)
	}
}

// An excerpt is all of what is short, and of what is long both ends.
func TestExcerpt(t *testing.T) {
	for _, step := range []int{1, 100, firstWord, 1 << 20} {
		for _, n := range []int{0, 1, firstWord, firstWord + 1, firstWord + lastWord, firstWord + lastWord + 1, 100_000} {
			var got bytes.Buffer
			said := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
			e := NewExcerpt(&got)
			for part := range slices.Chunk(said, step) {
				if w, err := e.Write(part); w != len(part) || err != nil {
					t.Fatal(w, err)
				}
			}
			if soon := min(n, firstWord); got.Len() != soon {
				t.Errorf("%d bytes by %d: %d at once", n, step, got.Len())
			}
			e.Close()
			want := string(said)
			if n > firstWord+lastWord {
				want = fmt.Sprintf("%s\n[%d bytes left out]\n%s", said[:firstWord], n-firstWord-lastWord, said[n-lastWord:])
			}
			if got.String() != want {
				t.Errorf("%d bytes by %d: %d are passed on", n, step, got.Len())
			}
		}
	}
}

// Stop ends a program that is read no further.
func TestStop(t *testing.T) {
	t.Parallel()
	env, alive := marked(t)
	p, err := Start(context.Background(), shell(env, "yes | cat; sleep 60"))
	must(t, err)
	if _, err := p.Read(make([]byte, 100)); err != nil {
		t.Error(err)
	}
	p.Stop()
	p.Stop()
	if n := alive(); n != 0 {
		t.Errorf("%d processes are left", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Start(ctx, shell(env, "echo begun")); !errors.Is(err, context.Canceled) {
		t.Errorf("started too late: %v", err)
	}
}

// A program outlives the thread that had it started, but not the process; and without a terminal, neither does what it started.
func TestOutlives(t *testing.T) {
	t.Parallel()
	env, alive := marked(t)
	processes := make(chan *Process)
	go func() {
		runtime.LockOSThread() // and the thread ends with this function
		p, err := Start(context.Background(), shell(env, "sleep 0.5; echo fine"))
		if err != nil {
			t.Error(err)
		}
		processes <- p
	}()
	p := <-processes
	defer p.Stop()
	if b, err := io.ReadAll(p); string(b) != "fine\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}

	self := exec.Command(os.Args[0])
	self.Env = append(env, helper+"=trap '' TERM INT HUP; sleep 600 & exec >&- 2>&-; wait")
	out, err := self.StdoutPipe()
	must(t, err)
	must(t, self.Start())
	_, err = fmt.Fscan(out, new(int))
	must(t, err)
	waitFor(t, "all are there", func() bool { return alive("sleep") == 1 })
	must(t, self.Process.Kill())
	_ = self.Wait()
	want := 0
	if hasTerminal() {
		want = 1 // the kernel knows the program alone
	}
	waitFor(t, "they end", func() bool { return alive() <= want })
}

func TestParse(t *testing.T) {
	x, ok := parse([]byte("42 (a) S 1 (b) R 7 8 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0\n"))
	if want := (process{42, 7, 8, 9, 'R', 12345}); !ok || x != want {
		t.Errorf("%+v", x)
	}
	for _, bad := range []string{"", "42", "42 (a", "42 (a) ", "x (a) R 7 8 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0", "42 (a) R 7 8 9 0 -1"} {
		if x, ok := parse([]byte(bad)); ok {
			t.Errorf("%q is %+v", bad, x)
		}
	}
}
