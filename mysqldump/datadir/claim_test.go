package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// The data directory of a server that runs is refused, whatever is left of it; so is what holds anything else.
func TestClaimRefuses(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	if _, err := Claim(s.Datadir, "one"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "holds a lock") {
		t.Errorf("the data directory of a server: %v", err)
	}
	for _, name := range []string{"ibdata1", "aria_log_control"} {
		must(t, os.Rename(filepath.Join(s.Datadir, name), filepath.Join(s.Dir, name)))
	}
	if _, err := Claim(s.Datadir, "one"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "runs in it") {
		t.Errorf("the data directory of a server without its files: %v", err)
	}
	dir := filepath.Join(s.Dir, "other")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "x.pid"), fmt.Appendln(nil, s.Pid()), 0o600))
	if _, err := Claim(dir, "one"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "pid file") {
		t.Errorf("a folder with the pid file of a server: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "x.pid")))
	must(t, os.Symlink(s.Socket, filepath.Join(dir, "link")))
	if _, err := Claim(dir, "one"); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), `"link"`) {
		t.Errorf("a folder with something in it: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	d, err := Claim(dir, "one")
	must(t, err)
	d.Close()
	if _, err := Claim(dir, "two"); !errors.Is(err, ErrUnfinished) {
		t.Errorf("another archive is being restored: %v", err)
	}
}

// Who was killed finds what there was; after the machine was started anew it does not count.
func TestClaimAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	claim := func() *Dir {
		t.Helper()
		d, err := Claim(dir, "one")
		must(t, err)
		t.Cleanup(d.Close)
		return d
	}
	d := claim()
	must(t, os.Mkdir(filepath.Join(dir, "shop"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "shop", "a"), nil, 0o600))
	must(t, d.enter(Prepared))
	d.Close()
	if d = claim(); d.Stage() != Prepared {
		t.Errorf("the stage is %s", d.Stage())
	}
	d.mark.Boot = "another"
	must(t, d.enter(Prepared))
	d.Close()
	if d = claim(); d.Stage() != Filling {
		t.Errorf("after the machine was started anew the stage is %s", d.Stage())
	}
	if _, err := os.Lstat(filepath.Join(dir, "shop")); err == nil {
		t.Error("what was there before the machine was started anew is kept")
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	if err := d.Settle(all); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link: %v", err)
	}
}

// A mark that is no mark is not taken for ours.
func TestHostileMark(t *testing.T) {
	for _, text := range []string{"", "{", `{"archive":"two"}`, strings.Repeat("[", 10000)} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, Mark), []byte(text), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600))
		if _, err := Claim(dir, "one"); err == nil {
			t.Errorf("%.20q is a mark", text)
		}
		if _, err := os.Lstat(filepath.Join(dir, "theirs")); err != nil {
			t.Errorf("with the mark %.20q: %v", text, err)
		}
	}
}
