package freeze_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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
	device := strings.TrimSpace(run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() {
		freeze.ThawPath(mount)
		if exec.Command("umount", mount).Run() != nil {
			_ = exec.Command("umount", "-l", mount).Run()
		}
		run(t, "losetup", "-d", device)
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
		if wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", c.Process.Pid)); strings.Contains(string(wchan), "percpu_rwsem_wait") {
			_ = c.Process.Kill()
			return true
		}
	}
	_ = c.Process.Kill()
	return true
}

func master() {}

var _ = errors.Is

func TestFreeze(t *testing.T) {
	needRoot(t)
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			mount := newFS(t, kind)
			f := prepare(t, options(t), mount)
			must(t, f.Sync(t.Context()))
			must(t, f.Freeze(t.Context()))
			if !frozen(mount) {
				t.Error("it is not frozen")
			}
			r, err := f.Thaw()
			if err != nil || r.Frozen <= 0 || r.Freezing <= 0 || r.Freezing > r.Frozen {
				t.Errorf("%+v, %v", r, err)
			}
			if frozen(mount) {
				t.Error("it is frozen still")
			}
			must(t, f.Close())
		})
	}
}
