package roundtrip

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A folder is a Sink whose files are in a folder, as a restore leaves them.
type folder string

type folderFile struct{ *os.File }

func (d folder) Create(name string) (mysqldump.File, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	return folderFile{f}, err
}

func (d folder) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

func (f folderFile) Note(_, value string) error {
	if len(value) > 64<<10 {
		return errors.New("a note that is too long")
	}
	return nil
}

func (f folderFile) Abort() {
	if f.Close() == nil { // else it was closed before
		os.Remove(f.Name())
	}
}

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
func dumped(t testing.TB, s *servertest.Server, o dump.Options) (folder, dump.Result) {
	t.Helper()
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	into := folder(t.TempDir())
	o.Lock.Directory = t.TempDir()
	result, err := dump.Run(t.Context(), srv, into, o)
	if err != nil {
		t.Fatal(err)
	}
	return into, result
}

// load loads a dump as somebody does who has no nightjar. The client goes on after errors, so that a test tells all of them.
func load(t testing.TB, from folder, into *servertest.Server, flags ...string) {
	t.Helper()
	c := into.Client(t, append([]string{"--binary-mode", "--comments", "--force", "--max-allowed-packet=1G"}, flags...)...)
	c.Args = append([]string{"sh", "-c", `cd "$0" && cat $(ls | sort) | "$@"`, string(from)}, c.Args...)
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

// leftOut are the names that a dump says it left out.
func leftOut(r dump.Result) map[string]string {
	names := map[string]string{}
	for _, l := range append(r.Left, r.Broken...) {
		names[strings.ReplaceAll(l.Name, "`", "")] = l.What + ": " + l.Why
		if l.What == "grant" {
			names[strings.ReplaceAll(l.Name, "`", "")] += "; "
		}
	}
	return names
}
