package roundtrip

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A folder is a Sink whose files are in a folder, as a restore leaves them, and a Source of the same.
type folder struct {
	dir   string
	mu    sync.Mutex
	notes map[string]map[string]string
}

type folderFile struct {
	*os.File
	in    *folder
	notes map[string]string
}

func (d *folder) Create(name string) (mysqldump.File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	return &folderFile{f, d, map[string]string{}}, err
}

func (d *folder) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.notes, name)
	return os.Remove(filepath.Join(d.dir, name))
}

func (f *folderFile) Note(name, value string) error {
	if f.notes[name] = value; len(value) > 64<<10 {
		return errors.New("a note that is too long")
	}
	return nil
}

func (f *folderFile) Close() error {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	f.in.notes[filepath.Base(f.Name())] = f.notes
	return f.File.Close()
}

func (f *folderFile) Abort() {
	if f.File.Close() == nil { // else it was closed before
		os.Remove(f.Name())
	}
}

func (d *folder) Files() (all []mysqldump.SourceFile, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.notes)) {
		info, err := os.Stat(filepath.Join(d.dir, name))
		if err != nil {
			return nil, err
		}
		all = append(all, mysqldump.SourceFile{Name: name, Size: info.Size(), Notes: d.notes[name]})
	}
	return all, nil
}

func (d *folder) Open(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(d.dir, name)) }

// options are those of all dumps here: small ranges, so that many tables have several.
func options() dump.Options {
	return dump.Options{Threads: 3, Accounts: true, BrokenSkip: true, RangeBytes: 20 << 10, Now: time.Now,
		Lock: lock.Options{Attempt: 2 * time.Second, Wait: 2 * time.Minute, Max: 2 * time.Minute}}
}

func connect(t testing.TB, s *servertest.Server) *server.Session {
	t.Helper()
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	session, err := srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// dumped dumps a server into a new folder.
func dumped(t testing.TB, s *servertest.Server, o dump.Options) (*folder, dump.Result) {
	t.Helper()
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	into := &folder{dir: t.TempDir(), notes: map[string]map[string]string{}}
	o.Lock.Directory = t.TempDir()
	result, err := dump.Run(t.Context(), srv, into, o)
	if err != nil {
		t.Fatal(err)
	}
	return into, result
}

// load loads a dump as somebody does who has no nightjar. The client goes on after errors, so that a test tells all of them.
func load(t testing.TB, from *folder, into *servertest.Server, flags ...string) {
	t.Helper()
	c := into.Client(t, append([]string{"--binary-mode", "--comments", "--force", "--max-allowed-packet=1G"}, flags...)...)
	c.Args = append([]string{"sh", "-c", `cd "$0" && cat $(ls | sort) | "$@"`, from.dir}, c.Args...)
	c.Path = "/bin/sh"
	out, err := c.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ERROR") {
			t.Errorf("load: %s", strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("load: %v\n%.2000s", err, out)
	}
}

// restored restores a dump as nightjar does, in parallel, with its own proof.
func restored(t testing.TB, from *folder, into *servertest.Server) {
	t.Helper()
	srv, err := server.New(into.Config())
	if err != nil {
		t.Fatal(err)
	}
	result, err := restore.Run(t.Context(), srv, from, restore.Options{Accounts: restore.ReplaceAccounts})
	if err != nil {
		t.Errorf("restore: %v", err)
	}
	for _, f := range result.Failures {
		t.Errorf("restore %s: %v", f.Object, f.Err)
	}
	for _, d := range result.Differences {
		t.Errorf("restore: %s", d)
	}
}

// leftOut are the names that a dump says it left out.
func leftOut(r dump.Result) map[string]string {
	names := map[string]string{}
	for _, l := range append(r.Left, r.Broken...) {
		names[strings.ReplaceAll(l.Name, "`", "")] = l.What + ": " + l.Why
	}
	return names
}
