package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/proctest"
	"nightjar/internal/sshtest"
	"nightjar/repo/store"
	"nightjar/repo/store/sftp"
	"nightjar/repo/store/storetest"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

// A connection may be cut anywhere: what was asked is done all the same, and nothing that is half done is seen.
func TestCut(t *testing.T) {
	t.Parallel()
	server, ctx := sshtest.Start(t), t.Context()
	line := server.Through(t)
	s := open(t, line.URL(filepath.Join(t.TempDir(), "store")), settings(t, server.Key, line.KnownHosts))
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	made := line.Made.Load()
	for i, bytes := range []int64{1, 300, 700, 500_000, 1_049_000, 1_050_000} {
		name := fmt.Sprintf("content/%d/object", i)
		line.CutAfter(bytes)
		if _, err := s.Put(ctx, name, data); err != nil {
			t.Fatalf("cut after %d bytes: %v", bytes, err)
		}
		line.CutAfter(bytes / 5000)
		wantContent(t, s, name, data)
	}
	line.CutAfter(150)
	now, err := s.Now(ctx)
	if must(t, err); time.Since(now).Abs() > time.Minute {
		t.Errorf("it is %v", now)
	}
	storetest.NeverShort(t, s, 6, func(int) { line.Cut() })
	line.CutAfter(150) // its answer, or the question
	must(t, s.Delete(ctx, "content/0/object"))
	if got := len(list(t, s, "")); got != 5 {
		t.Errorf("%d objects are left", got)
	}
	if again := line.Made.Load() - made; again < 8 {
		t.Errorf("connected %d times, as if nothing had been cut", again)
	}
}

func wantContent(t *testing.T, s store.Store, name string, want []byte) {
	t.Helper()
	got, err := store.ReadAll(t.Context(), s, name, 0)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v", name, len(got), err)
	}
}

// Many calls share a connection, and all go on when it is cut.
func TestCutTogether(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	line := server.Through(t)
	s := open(t, line.URL(filepath.Join(t.TempDir(), "store")), settings(t, server.Key, line.KnownHosts))
	line.CutAfter(500_000)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprintf("content/%d/object", i)
			data := bytes.Repeat([]byte{byte(i)}, 200_000)
			if _, err := s.Put(t.Context(), name, data); err != nil {
				t.Error(err)
			}
			wantContent(t, s, name, data)
		})
	}
	all.Wait()
	if n := line.Made.Load(); n < 2 || n > 7 {
		t.Errorf("connected %d times", n)
	}
}

// A server that is gone is waited for, for a while.
func TestServerBack(t *testing.T) {
	t.Parallel()
	server, ctx := sshtest.Start(t), t.Context()
	line := server.Through(t)
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, line.URL(dir), settings(t, server.Key, line.KnownHosts))
	server.Stop()
	line.Cut()
	before := line.Made.Load()
	result := make(chan error)
	go func() {
		_, err := s.Put(ctx, "a", []byte("a"))
		result <- err
	}()
	for line.Made.Load() < before+3 {
		time.Sleep(time.Millisecond)
	}
	server.Run()
	must(t, <-result)

	server.Stop()
	line.Cut()
	short, err := sftp.OpenImpatient(ctx, location(t, line.URL(dir)), settings(t, server.Key, line.KnownHosts), 2, 0)
	if err == nil {
		short.Close()
	}
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, sftp.ErrUnreachable) {
		t.Errorf("a server that stays away: %v", err)
	}
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = sftp.OpenImpatient(soon, location(t, server.URL(dir)), settings(t, server.Key, server.KnownHosts), 1_000_000, 0)
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, sftp.ErrUnreachable) {
		t.Errorf("a port where nobody listens: %v", err)
	}
}

// A server that falls silent holds nobody up for ever, be it the machine or its disk.
func TestSilence(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/lib/openssh/sftp-server"); err != nil {
		t.Skip("SKIPPED, NOTHING TESTED: ", err)
	}
	pids := filepath.Join(t.TempDir(), "pid")
	server := sshtest.Start(t, "Subsystem sftp echo $$ >"+pids+"; exec /usr/lib/openssh/sftp-server")
	line := server.Through(t)
	s, err := sftp.OpenHasty(t.Context(), location(t, line.URL(filepath.Join(t.TempDir(), "store"))), settings(t, server.Key, line.KnownHosts), 100)
	must(t, err)
	defer s.Close()
	text, err := os.ReadFile(pids)
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	proctest.Stop(t, pid) // sshd still answers
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	_, err = s.Put(t.Context(), "a", []byte("a"))
	must(t, err)
	if n := line.Made.Load(); n < 2 {
		t.Errorf("connected %d times", n)
	}

	line.Mute(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Stat(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("whoever gives up hears %v", err)
	}
	_, err = sftp.OpenHasty(t.Context(), location(t, line.URL("/tmp/x")), settings(t, server.Key, line.KnownHosts), 2)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a server that never says a word: %v", err)
	}
	line.Mute(false)
	line.Cut()
	wantContent(t, s, "a", []byte("a"))
}

// Bytes a second are kept, both ways.
func TestPaced(t *testing.T) {
	t.Parallel()
	server, ctx, data := sshtest.Start(t), t.Context(), make([]byte, 512<<10)
	o := settings(t, server.Key, server.KnownHosts)
	o.LimitUpload, o.LimitDownload = 1<<20, 1<<20
	s := open(t, server.URL(filepath.Join(t.TempDir(), "store")), o)
	begun := time.Now()
	_, err := s.Put(ctx, "a", data)
	must(t, err)
	up := time.Since(begun)
	must(t, s.GetInto(ctx, "a", 0, data))
	if down := time.Since(begun) - up; up < 400*time.Millisecond || down < 400*time.Millisecond {
		t.Errorf("512 KiB at 1 MiB a second went up in %v, and down in %v", up, down)
	}
}

// What a server does not do is said, with what is lost; the rest holds.
func TestLacks(t *testing.T) {
	t.Parallel()
	server, ctx := sshtest.Start(t, "Subsystem sftp internal-sftp -P hardlink,fsync,posix-rename"), t.Context()
	var mu sync.Mutex
	var learned []string
	said := map[string]int{}
	o := settings(t, server.Key, server.KnownHosts)
	o.Warn = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		_, what, _ := strings.Cut(err.Error(), " does not do ")
		said[what]++
	}
	o.Learned = func(lacks []string) { learned = lacks }
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, server.URL(dir), o)
	for range 2 {
		_, err := s.Put(ctx, "a/object", []byte("one"))
		must(t, err)
		if _, err := s.Put(ctx, "a/object", []byte("two")); !errors.Is(err, store.ErrExists) {
			t.Errorf("over another: %v", err)
		}
		wantContent(t, s, "a/object", []byte("one"))
	}
	_, err := s.Replace(ctx, "a/object", []byte("two"), time.Time{})
	must(t, err)
	wantContent(t, s, "a/object", []byte("two"))
	if left := list(t, s, ""); !slices.Equal(left, []string{"a/object"}) {
		t.Errorf("left %q", left)
	}
	for _, want := range []string{"fsync@openssh.com: what was stored", "hardlink@openssh.com: of two", "posix-rename@openssh.com: an object"} {
		found := 0
		for text, n := range said {
			if strings.HasPrefix(text, want) {
				found += n
			}
		}
		if found != 1 {
			t.Errorf("said %d times: %s; of %v", found, want, said)
		}
	}
	if want := []string{"fsync@openssh.com", "hardlink@openssh.com", "posix-rename@openssh.com"}; !slices.Equal(learned, want) {
		t.Errorf("learned %q", learned)
	}

	// What is known is not said again, until the server has done it.
	again := settings(t, server.Key, server.KnownHosts)
	again.Lacks, again.Learned = learned, func(lacks []string) { t.Errorf("learned again %q", lacks) }
	s = open(t, server.URL(dir), again)
	must(t, s.Probe(ctx))
	_, err = s.Put(ctx, "b", []byte("b"))
	must(t, err)
	able := sshtest.Start(t)
	better := settings(t, able.Key, able.KnownHosts)
	better.Lacks, better.Learned = learned, func(lacks []string) { learned = lacks }
	s = open(t, able.URL(dir), better)
	must(t, s.Probe(ctx))
	_, err = s.Replace(ctx, "b", []byte("c"), time.Time{})
	must(t, err)
	_, err = s.Put(ctx, "c", []byte("c"))
	must(t, err)
	if len(learned) > 0 {
		t.Errorf("a server that does all is not believed to do %q", learned)
	}
	clear(said)
	o.Lacks = learned
	must(t, open(t, server.URL(dir), o).Probe(ctx))
	if len(said) != 3 || len(learned) != 3 {
		t.Errorf("a server that has become weaker: said %v, learned %q", said, learned)
	}
}

// What the server does not let us do is told from what this machine does not.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	server, ctx, dir := sshtest.Start(t, "Subsystem sftp internal-sftp -R"), t.Context(), t.TempDir()
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	_, err := s.Put(ctx, "a", nil)
	if !errors.Is(err, sftp.ErrDenied) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("stored where only reading is allowed: %v", err)
	}
	if got := list(t, s, ""); len(got) > 0 {
		t.Errorf("listed %q", got)
	}
}

// A server that gives SFTP alone, in a root of its own, is enough.
func TestChroot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root, err := os.MkdirTemp("/run", "sshtest-") // nobody else may write there, nor above
	must(t, err)
	defer os.RemoveAll(root)
	must(t, os.Chmod(root, 0o755))
	must(t, os.Mkdir(filepath.Join(root, "home"), 0o700))
	server := sshtest.Start(t, "ChrootDirectory "+root, "ForceCommand internal-sftp -d /home", "AllowTcpForwarding no")
	for _, path := range []string{"/home/absolute", "/~/relative"} {
		s := open(t, server.URL(path), settings(t, server.Key, server.KnownHosts))
		_, err := s.Put(t.Context(), "content/ab/object", []byte("x"))
		must(t, err)
		if got := list(t, s, ""); !slices.Equal(got, []string{"content/ab/object"}) {
			t.Errorf("%s lists %q", path, got)
		}
		if _, err := os.Stat(filepath.Join(root, "home", filepath.Base(path), "content/ab/object")); err != nil {
			t.Error(err)
		}
	}
}

// A full disk is called that, though the protocol has no word for it.
func TestFull(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	defer func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
	server := sshtest.Start(t)
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	if _, err := s.Put(t.Context(), "large", make([]byte, 2<<20)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("must be root")
		}
		t.Skip("SKIPPED, NOTHING TESTED: must be root")
	}
}
