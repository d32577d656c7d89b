package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v, want %q", path, got, err, content)
	}
}

// wantEntries checks that nothing but what was meant to be there is.
func wantEntries(t *testing.T, dir string, want int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != want {
		t.Errorf("%s holds %v, %v, want %d entries", dir, entries, err, want)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "", "second, longer"} {
		must(t, WriteFile(path, []byte(content), 0o600))
		wantFile(t, path, content)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	wantEntries(t, dir, 1)
}

func TestWriteFileReplacesLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	must(t, os.WriteFile(target, []byte("old"), 0o600))
	must(t, os.Symlink(target, link))
	must(t, WriteFile(link, []byte("new"), 0o600))
	wantFile(t, target, "old")
	wantFile(t, link, "new")
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o700))
	for _, path := range []string{
		"", ".", "..", dir + "/", dir + "/.", filepath.Join(dir, "missing", "file"), filepath.Join(dir, "folder"),
	} {
		err := WriteFile(path, []byte("x"), 0o600)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v", path, err)
		}
	}
	wantEntries(t, dir, 1)
}

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	must(t, CreateFile(path, []byte("first"), 0o600))
	if err := CreateFile(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it twice: %v", err)
	}
	wantFile(t, path, "first")
	dangling := filepath.Join(dir, "dangling")
	must(t, os.Symlink(filepath.Join(dir, "nowhere"), dangling))
	if err := CreateFile(dangling, []byte("x"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it over a link: %v", err)
	}
	wantEntries(t, dir, 2)
}

// TestNoReplace runs both ways to take a name against each other.
func TestNoReplace(t *testing.T) {
	for name, c := range map[string]commit{"rename": renameNoReplace, "link": linkNoReplace} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			var wg sync.WaitGroup
			errs := make([]error, 16)
			for i := range errs {
				wg.Go(func() { errs[i] = writePath(path, fmt.Append(nil, i), 0o600, c) })
			}
			wg.Wait()
			winner := -1
			for i, err := range errs {
				if err == nil && winner < 0 {
					winner = i
				} else if !errors.Is(err, fs.ErrExist) {
					t.Errorf("writer %d: %v", i, err)
				}
			}
			wantFile(t, path, fmt.Sprint(winner))
			wantEntries(t, dir, 1)
		})
	}
}

func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		const why = "NOT TESTED: mounting a small file system needs root"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	path := filepath.Join(dir, "file")
	must(t, WriteFile(path, []byte("old"), 0o600))
	if err := WriteFile(path, bytes.Repeat([]byte("new"), 50_000), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
	wantFile(t, path, "old")
	wantEntries(t, dir, 1)
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "c")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = MkdirAll(path+"/", 0o700) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v", info.Mode())
	}
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := MkdirAll(path, 0o700); !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Chdir(dir)
	must(t, MkdirAll("relative/folder", 0o700))
	must(t, WriteFile("relative/folder/file", []byte("x"), 0o600))
	must(t, WriteFile("file2", []byte("x"), 0o600))
	wantFile(t, filepath.Join(dir, "relative/folder/file"), "x")
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	must(t, SyncDir(dir))
	if err := SyncDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

const traceEnv = "DURABLE_TEST_TRACE"

// TestSystemCalls sees in a trace that the file is synced before it has its
// name, and its folder afterwards. Nothing else would notice if it were not.
func TestSystemCalls(t *testing.T) {
	if dir := os.Getenv(traceEnv); dir != "" { // the traced program
		must(t, MkdirAll(filepath.Join(dir, "new"), 0o700))
		must(t, WriteFile(filepath.Join(dir, "new", "replaced"), []byte("x"), 0o600))
		must(t, CreateFile(filepath.Join(dir, "new", "created"), []byte("x"), 0o600))
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		const why = "NOT TESTED: the order of system calls needs strace"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command(strace, "-f", "-y", "-o", trace,
		"-e", "trace=mkdirat,write,fsync,rename,renameat,renameat2", os.Args[0], "-test.run=^TestSystemCalls$")
	cmd.Env = append(os.Environ(), traceEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	log, err := os.ReadFile(trace)
	must(t, err)
	var got []string
	call := regexp.MustCompile(`(mkdirat|write|fsync|rename\w*)\(.*` + regexp.QuoteMeta(dir))
	for line := range strings.Lines(string(log)) {
		m := call.FindStringSubmatch(line)
		switch {
		case m == nil || strings.Contains(line, "resumed>"):
		case m[1] == "fsync" && !strings.Contains(line, TempPrefix):
			got = append(got, "fsync folder")
		case strings.HasPrefix(m[1], "rename"):
			got = append(got, "rename")
		default:
			got = append(got, m[1])
		}
	}
	const one = "write fsync rename fsync folder"
	if want := "mkdirat fsync folder " + one + " " + one; strings.Join(got, " ") != want {
		t.Errorf("system calls: %q, want %q\n%s", strings.Join(got, " "), want, log)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	must(t, Probe(dir))
	wantEntries(t, dir, 0)
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, path := range []string{filepath.Join(dir, "file"), filepath.Join(dir, "missing"), "/proc/self"} {
		if err := Probe(path); err == nil {
			t.Errorf("%s can be written to", path)
		}
	}
}

// What is no regular file, and what a link like /dev/stdout leads to, stays.
func TestWriteFileRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := unix.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"null": "/dev/null", "topipe": "pipe", "out": "/proc/self/fd/1", "dangling": "nowhere"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pipe", "null", "topipe", "out"} {
		before, _ := os.Lstat(at(name))
		err := WriteFile(at(name), []byte("x"), 0o600)
		if after, _ := os.Lstat(at(name)); err == nil || after.Mode() != before.Mode() {
			t.Errorf("%s: %v, and it is %v", name, err, after.Mode())
		}
	}
	if err := WriteFile(at("dangling"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
}
