package freeze_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/freeze"
)

// TestHang has the system call that freezes wait for a writer that does not end: one that splices from a pipe nothing is written to.
func TestHang(t *testing.T) {
	needRoot(t)
	t.Parallel()
	mount := newFS(t, "ext4")
	out, err := os.Create(filepath.Join(mount, "spliced"))
	must(t, err)
	defer out.Close()
	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	spliced := make(chan error)
	go func() {
		_, err := unix.Splice(pipe[0], nil, int(out.Fd()), nil, 1, 0)
		spliced <- errors.Join(err, unix.Close(pipe[0]))
	}()
	feed := func() {
		if pipe[1] >= 0 {
			_, _ = unix.Write(pipe[1], []byte("x"))
			_ = unix.Close(pipe[1])
			pipe[1] = -1
			if err := <-spliced; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(feed)
	o := options(t)
	o.Max = 4 * time.Second // which is passed in any case
	o.Hurry = filepath.Join(t.TempDir(), "expedited")
	must(t, os.WriteFile(o.Hurry, []byte("0\n"), 0o600))
	hurries := func() string {
		b, err := os.ReadFile(o.Hurry)
		must(t, err)
		return string(b)
	}
	f := prepare(t, o, mount)
	waitFor(t, "the writer to wait in the call", func() bool {
		tasks, _ := filepath.Glob("/proc/self/task/*/syscall") // which has a number only of what waits
		return slices.ContainsFunc(tasks, func(path string) bool {
			b, _ := os.ReadFile(path)
			return strings.HasPrefix(string(b), strconv.Itoa(unix.SYS_SPLICE)+" ")
		})
	})
	hung := make(chan error)
	go func() { hung <- f.Freeze(t.Context()) }()
	waitFor(t, "the kernel to be told to hurry", func() bool { return hurries() == "1\n" })
	if err := <-hung; !errors.Is(err, freeze.ErrTooLong) {
		t.Fatal("frozen under a writer:", err)
	}
	if hurries() != "0\n" {
		t.Error("the kernel is left in a hurry")
	}
	if err := f.Close(); err == nil { // without waiting for the call
		t.Error("the watchdog has ended, though it has to thaw")
	}
	feed()
	waitFor(t, "writers to go on, and the record to be gone", func() bool {
		r, err := os.ReadDir(o.Directory)
		return err == nil && len(r) == 0 && !frozen(mount)
	})
}
