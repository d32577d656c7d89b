package freeze_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/snapshot/ec2test/disks"
	"nightjar/snapshot/freeze"
	"nightjar/snapshot/host"
)

// What has this test's program be another: a watchdog, or whoever freezes and is to be killed.
const be = "NIGHTJAR_FREEZE_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(be) {
	case "watchdog":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := freeze.Watch(ctx, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "master":
		master()
	default:
		os.Exit(m.Run())
	}
}

// patience is for how long a condition is waited for.
const patience = 2 * time.Minute

func waitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// newFS makes a file system on a loop device and mounts it, until the end of the test: however that ends, it is thawed, unmounted and let go of.
func newFS(t testing.TB, kind string) string {
	t.Helper()
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 320<<20)) // XFS has no less
	must(t, os.Mkdir(mount, 0o700))
	run(t, "mkfs."+kind, "-q", image)
	device := disks.Loop(t, image)
	t.Cleanup(func() {
		freeze.ThawPath(mount)
		if exec.Command("umount", mount).Run() != nil {
			_ = exec.Command("umount", "-l", mount).Run()
		}
	})
	run(t, "mount", device, mount)
	return mount
}

func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t testing.TB) {
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root may mount and freeze")
	}
}

// mountsAt returns the mounts at paths.
func mountsAt(t testing.TB, paths ...string) (found []host.Mount) {
	t.Helper()
	all, err := host.Machine{}.Mounts()
	must(t, err)
	for _, m := range all {
		if slices.Contains(paths, m.Path) {
			found = append(found, m)
		}
	}
	return found
}

// options are for a watchdog that is this test's program.
func options(t testing.TB) freeze.Options {
	self, err := os.Executable()
	must(t, err)
	return freeze.Options{Directory: t.TempDir(), Watchdog: []string{self}, Env: append(os.Environ(), be+"=watchdog"), Max: time.Minute}
}

// prepare prepares, until the end of the test.
func prepare(t testing.TB, o freeze.Options, paths ...string) *freeze.Freeze {
	t.Helper()
	f, err := freeze.Prepare(t.Context(), mountsAt(t, paths...), o)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A writer writes to a file system, all the time.
type writer struct {
	path string
	dead chan error
}

func newWriter(t testing.TB, mount string) *writer {
	w := &writer{filepath.Join(mount, "written"), make(chan error, 1)}
	stop := make(chan struct{})
	go func() {
		f, err := os.Create(w.path)
		for n := 0; err == nil && n >= 0; n++ {
			select {
			case <-stop:
				err = f.Close()
				n = -2
			default:
				_, err = f.WriteAt(fmt.Appendf(nil, "%20d", n), int64(n%1000)*20)
			}
		}
		w.dead <- err
	}()
	t.Cleanup(func() {
		freeze.ThawPath(mount)
		close(stop)
		if err := <-w.dead; err != nil {
			t.Error(err)
		}
	})
	return w
}

// frozen reports whether a file system is: by the only way there is to see it without freezing, that a write waits.
func frozen(mount string) bool {
	c := exec.Command("sh", "-c", `exec touch "$1/probe"`, "sh", mount)
	if c.Start() != nil {
		return false
	}
	done := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(done)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-done:
			return false
		default:
		}
		// It sleeps in the kernel for as long as it is frozen, and nobody else has it do so for seconds.
		if wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", c.Process.Pid)); strings.Contains(string(wchan), "percpu_rwsem") || strings.Contains(string(wchan), "sb_start") {
			_ = c.Process.Kill()
			return true
		}
	}
	_ = c.Process.Kill()
	return true
}

// master freezes, says so, and waits for its end.
func master() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	mounts, err := host.Machine{}.Mounts()
	if err != nil {
		panic(err)
	}
	mounts = slices.DeleteFunc(mounts, func(m host.Mount) bool { return m.Path != os.Getenv("MOUNT") })
	ctx := context.Background()
	f, err := freeze.Prepare(ctx, mounts, freeze.Options{Directory: os.Getenv("RECORDS"), Watchdog: []string{self}, Env: append(os.Environ(), be+"=watchdog"), Max: 10 * time.Minute})
	if err != nil {
		panic(err)
	}
	if err := f.Freeze(ctx); err != nil {
		panic(err)
	}
	fmt.Println("frozen")
	_, _ = fmt.Scanln()
	panic("as told")
}

// startMaster starts a process that has frozen a file system, in a process group of its own. It panics when its input ends.
func startMaster(t *testing.T, mount, records string) (c *exec.Cmd, input io.Closer) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c = exec.Command(self)
	c.Env = append(os.Environ(), be+"=master", "MOUNT="+mount, "RECORDS="+records)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	said := make([]byte, 7)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "frozen\n" {
		t.Fatalf("%q, %v", said, err)
	}
	return c, in
}

// watchdogs returns the processes of watchdogs that have a text in their environment.
func watchdogs(text string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		b, _ := os.ReadFile(path)
		if strings.Contains(string(b), be+"=watchdog") && strings.Contains(string(b), text) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestFreeze(t *testing.T) {
	needRoot(t)
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			mount := newFS(t, kind)
			w := newWriter(t, mount)
			again := filepath.Join(t.TempDir(), "again")
			must(t, os.Mkdir(again, 0o700))
			run(t, "mount", "--bind", mount, again)
			t.Cleanup(func() { run(t, "umount", again) })
			o := options(t)
			f := prepare(t, o, mount, again)
			for range 2 {
				must(t, f.Sync(t.Context()))
				must(t, f.Freeze(t.Context()))
				if !frozen(mount) {
					t.Error("it is not frozen")
				}
				before := w.read(t)
				if r, err := os.ReadDir(o.Directory); err != nil || len(r) != 1 {
					t.Errorf("records: %v, %v", r, err)
				}
				if left, err := freeze.Left(o.Directory, host.Machine{}); err != nil || len(left) != 1 || !left[0].Holds || left[0].Was {
					t.Errorf("of a watchdog that lives: %+v, %v", left, err)
				}
				if now := w.read(t); now != before {
					t.Errorf("while it is frozen the writer goes on from %s to %s", before, now)
				}
				r, err := f.Thaw()
				if err != nil || r.Frozen <= 0 || r.Freezing <= 0 || r.Freezing > r.Frozen {
					t.Errorf("%+v, %v", r, err)
				}
				waitFor(t, "the writer to go on", func() bool { return w.read(t) != before })
				if r, err := f.Thaw(); err != nil || r != (freeze.Report{}) {
					t.Errorf("a second time: %+v, %v", r, err)
				}
			}
			must(t, f.Close())
			must(t, f.Close())
			if r, err := os.ReadDir(o.Directory); err != nil || len(r) != 0 {
				t.Errorf("records: %v, %v", r, err)
			}
		})
	}
}

// TestGone has whoever froze end in every way that there is.
func TestGone(t *testing.T) {
	needRoot(t)
	for name, end := range map[string]func(c *exec.Cmd, input io.Closer) error{
		"killed": func(c *exec.Cmd, _ io.Closer) error { return c.Process.Kill() },
		"group":  func(c *exec.Cmd, _ io.Closer) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) },
		"panic":  func(_ *exec.Cmd, input io.Closer) error { return input.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mount, records := newFS(t, "ext4"), t.TempDir()
			w := newWriter(t, mount)
			c, input := startMaster(t, mount, records)
			if !frozen(mount) {
				t.Fatal("it is not frozen")
			}
			before := w.read(t)
			must(t, end(c, input))
			waitFor(t, "the writer to go on", func() bool { return w.read(t) != before })
			waitFor(t, "the watchdog to end", func() bool { return len(watchdogs(records)) == 0 })
			if r, err := os.ReadDir(records); err != nil || len(r) != 0 {
				t.Errorf("records: %v, %v", r, err)
			}
		})
	}
}

// TestAllKilled kills the watchdog with whoever froze: what is left is thawed by its record.
func TestAllKilled(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount, records := newFS(t, "xfs"), t.TempDir()
	c, _ := startMaster(t, mount, records)
	dogs := watchdogs(records)
	if len(dogs) != 1 {
		t.Fatal("watchdogs:", dogs)
	}
	must(t, c.Process.Signal(syscall.SIGSTOP)) // else it thaws
	must(t, syscall.Kill(dogs[0], syscall.SIGKILL))
	must(t, c.Process.Kill())
	waitFor(t, "both to be gone", func() bool { return len(watchdogs(records)) == 0 && c.ProcessState == nil && c.Wait() != nil })
	if !frozen(mount) {
		t.Fatal("it is not frozen")
	}
	left, err := freeze.Left(records, host.Machine{})
	if err != nil || len(left) != 1 || left[0] != (freeze.Thawed{Path: mount, Was: true}) || frozen(mount) {
		t.Errorf("%+v, %v", left, err)
	}
	if left, err := freeze.Left(records, host.Machine{}); err != nil || len(left) != 0 {
		t.Errorf("again: %+v, %v", left, err)
	}
	if got := freeze.ThawPath(mount); got != (freeze.Thawed{Path: mount}) {
		t.Errorf("by hand: %+v", got)
	}
	run(t, "fsfreeze", "--freeze", mount)
	if got := freeze.ThawPath(mount); !got.Was || got.Err != nil || frozen(mount) {
		t.Errorf("by hand: %+v", got)
	}
}

func TestWatchdogKilled(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount := newFS(t, "ext4")
	w := newWriter(t, mount)
	o := options(t)
	mark := t.TempDir()
	o.Env = append(o.Env, "MARK="+mark)
	f := prepare(t, o, mount)
	must(t, f.Freeze(t.Context()))
	before := w.read(t)
	dogs := watchdogs(mark)
	if len(dogs) != 1 {
		t.Fatal("watchdogs:", dogs)
	}
	must(t, syscall.Kill(dogs[0], syscall.SIGKILL))
	waitFor(t, "the writer to go on", func() bool { return w.read(t) != before })
	if _, err := f.Thaw(); !errors.Is(err, freeze.ErrWatchdog) {
		t.Error(err)
	}
	if r, err := os.ReadDir(o.Directory); err != nil || len(r) != 0 {
		t.Errorf("records: %v, %v", r, err)
	}
}

func TestLimit(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount := newFS(t, "xfs")
	w := newWriter(t, mount)
	o := options(t)
	o.Max = 14 * time.Second // half of it until it is frozen
	f := prepare(t, o, mount)
	must(t, f.Freeze(t.Context()))
	before := w.read(t)
	waitFor(t, "the writer to go on", func() bool { return w.read(t) != before })
	if _, err := f.Thaw(); !errors.Is(err, freeze.ErrTooLong) {
		t.Error(err)
	}
	must(t, f.Freeze(t.Context())) // again
	run(t, "fsfreeze", "--unfreeze", mount)
	if _, err := f.Thaw(); !errors.Is(err, freeze.ErrThawed) {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount, other := newFS(t, "ext4"), newFS(t, "xfs")
	refused := func(what, word string, o freeze.Options, paths ...string) {
		t.Helper()
		f, err := freeze.Prepare(t.Context(), mountsAt(t, paths...), o)
		if err == nil {
			f.Close()
		}
		if !errors.Is(err, freeze.ErrRefused) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("the root file system", "root", options(t), "/", mount)
	refused("a pseudo file system", "proc", options(t), mount, "/proc")
	o := options(t)
	o.Own = []string{filepath.Join(mount, "not/yet/there")}
	refused("a folder that is written to", "not/yet/there", o, other, mount)
	o = options(t)
	o.Directory = other
	refused("the folder of records", other, o, other, mount)
	log, err := os.Create(filepath.Join(mount, "log"))
	must(t, err)
	defer log.Close()
	o = options(t)
	o.Files = []*os.File{log, os.Stderr}
	refused("a log", log.Name(), o, mount)

	image := filepath.Join(other, "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 8<<20))
	run(t, "mkfs.ext4", "-q", image)
	above := t.TempDir()
	run(t, "mount", "-o", "loop", image, above)
	t.Cleanup(func() { run(t, "umount", "-d", above) })
	o = options(t)
	o.Own = []string{above}
	refused("what carries a folder that is written to", above, o, other)

	if _, err := freeze.Prepare(t.Context(), nil, options(t)); err == nil {
		t.Error("prepared to freeze nothing")
	}
	o = options(t)
	o.Watchdog = []string{"/bin/false"}
	if _, err := freeze.Prepare(t.Context(), mountsAt(t, mount), o); !errors.Is(err, freeze.ErrWatchdog) {
		t.Error("a watchdog that ends:", err)
	}
}

// TestBusy wants what somebody else has frozen to stay so, and nothing else to.
func TestBusy(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mounts := []string{newFS(t, "ext4"), newFS(t, "xfs")}
	f := prepare(t, options(t), mounts...)
	for i, m := range mounts { // whichever comes first
		run(t, "fsfreeze", "--freeze", m)
		if err := f.Freeze(t.Context()); !errors.Is(err, freeze.ErrBusy) || !strings.Contains(err.Error(), m) {
			t.Error(err)
		}
		if !frozen(m) || frozen(mounts[1-i]) {
			t.Errorf("frozen: %v, %v", frozen(m), frozen(mounts[1-i]))
		}
		run(t, "fsfreeze", "--unfreeze", m)
	}
	must(t, f.Freeze(t.Context()))
	if !frozen(mounts[0]) || !frozen(mounts[1]) {
		t.Error("not all are frozen")
	}
	must(t, f.Close())
	if frozen(mounts[0]) || frozen(mounts[1]) {
		t.Error("Close thaws nothing")
	}
}

// TestAbove freezes a file system with another one in a file of it, and a third: what is above comes first, and is thawed last, or both hang.
func TestAbove(t *testing.T) {
	needRoot(t)
	t.Parallel()
	below, beside, above := newFS(t, "xfs"), newFS(t, "ext4"), t.TempDir()
	image := filepath.Join(below, "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 64<<20))
	run(t, "mkfs.ext4", "-q", image)
	run(t, "mount", "-o", "loop", image, above)
	t.Cleanup(func() { run(t, "umount", "-d", above) })
	f := prepare(t, options(t), below, above, beside)
	for range 3 {
		must(t, os.WriteFile(filepath.Join(above, "written"), make([]byte, 8<<20), 0o600))
		must(t, f.Freeze(t.Context()))
		for _, m := range []string{below, beside, above} {
			if !frozen(m) {
				t.Errorf("%s is not frozen", m)
			}
		}
		_, err := f.Thaw()
		must(t, err)
	}
	must(t, os.WriteFile(filepath.Join(above, "written"), nil, 0o600))
}

func TestScope(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount := newFS(t, "ext4")
	o := options(t)
	o.Scope = []string{"/bin/sh", "-c", `exec "$@"`, "sh"} // as systemd-run does in the end
	f := prepare(t, o, mount)
	must(t, f.Freeze(t.Context()))
	if r, err := f.Thaw(); err != nil || !r.Scope {
		t.Errorf("%+v, %v", r, err)
	}
	o.Scope = []string{"/bin/sh", "-c", "echo no bus >&2; exit 1", "sh"}
	f = prepare(t, o, mount)
	must(t, f.Freeze(t.Context()))
	if r, err := f.Thaw(); err != nil || r.Scope {
		t.Errorf("%+v, %v", r, err)
	}
}

// read returns what the writer has written last.
func (w *writer) read(t testing.TB) string {
	b, err := os.ReadFile(w.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}
