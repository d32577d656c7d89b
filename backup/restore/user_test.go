package restore_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/filter"
	"nightjar/backup/local"
	"nightjar/backup/restore"
)

const nobody, ownGroup, otherGroup = 65534, 65533, 60

// asUser runs the test anew as an ordinary user, and reports whether this process is that.
func asUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		backuptest.NeedRoot(t) // the user has to be in a group of ours
	}
	if os.Getenv("NIGHTJAR_TEST_USER") != "" {
		must(t, syscall.Setgroups([]int{otherGroup}))
		must(t, syscall.Setgid(ownGroup))
		must(t, syscall.Setuid(nobody))
		return true
	}
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chown(dir, nobody, ownGroup))
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), "NIGHTJAR_TEST_USER=1", "TMPDIR="+dir)
	out, err := c.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
	return false
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Mode()
}

// A user's own folders that keep him out are opened to him for the time of the restore, also where they keep their attributes.
func TestOwnFolders(t *testing.T) {
	if !asUser(t) {
		return
	}
	s := backuptest.New(t)
	s.Write("d/ro/f", "content")
	s.Write("d/g", "content")
	must(t, os.Chmod(s.Path("d/ro"), 0o500))
	s.Save()
	must(t, os.Chmod(s.Path("d/ro"), 0o700)) // else it could not be cleared away
	all := func(o *restore.Options) { o.Ownership = local.None }
	for _, tt := range []struct {
		what   string
		closed map[string]os.FileMode
		after  map[string]os.FileMode
		with   func(*restore.Options)
	}{
		{"what is missing", map[string]os.FileMode{"d/ro": 0o500}, map[string]os.FileMode{"d/ro": 0o500}, func(o *restore.Options) { o.Overwrite = restore.Never }},
		{"only on the way", map[string]os.FileMode{"d/ro": 0, "": 0o500}, map[string]os.FileMode{"d/ro": 0, "": 0o500},
			func(o *restore.Options) {
				o.Overwrite, o.Filter = restore.Always, backuptest.Filter(t, filter.Options{Include: []string{"f"}})
			}},
		{"all", map[string]os.FileMode{"d/ro": 0o100, "d": 0o400, "": 0}, map[string]os.FileMode{"d/ro": 0o500, "d": 0o755, "": 0},
			func(o *restore.Options) { o.Overwrite = restore.Always }},
	} {
		target, _ := s.Restore(all)
		must(t, os.Chmod(target+"/d/ro", 0o700))
		must(t, os.Remove(target+"/d/ro/f"))
		for _, name := range []string{"d/ro", "d", ""} {
			if closed, ok := tt.closed[name]; ok {
				must(t, os.Chmod(filepath.Join(target, name), closed))
			}
		}
		s.Restore(all, tt.with, func(o *restore.Options) { o.Target = target })
		s.Log.None(t)
		for _, name := range []string{"", "d", "d/ro"} {
			path := filepath.Join(target, name)
			if after, ok := tt.after[name]; ok && mode(t, path).Perm() != after {
				t.Errorf("%s: %s has mode %v", tt.what, name, mode(t, path))
			}
			must(t, os.Chmod(path, 0o700))
		}
		if backuptest.Content(t, target+"/d/ro/f") != "content" {
			t.Errorf("%s: the file is not back", tt.what)
		}
	}
}

// A dry run opens no folder that a restore would open. It says so, and what a restore would make.
func TestDryRunOfLocked(t *testing.T) {
	if !asUser(t) {
		return
	}
	s := backuptest.New(t)
	s.Write("d/f", "content")
	s.Save()
	for _, name := range []string{"", "d"} {
		for _, closed := range []os.FileMode{0, 0o300, 0o500} {
			target, _ := s.Restore()
			path := filepath.Join(target, name)
			must(t, os.Chmod(path, closed))
			var created, warned []string
			s.Restore(overwrite(target, restore.IfChanged), func(o *restore.Options) {
				o.DryRun = true
				o.Report = func(path string, a restore.Action) { created = append(created, fmt.Sprint(path, a)) }
				o.Warn = func(err error) { warned = append(warned, err.Error()) }
			})
			s.Log.None(t)
			if len(created) == 0 || (len(warned) == 1) != (closed < 0o400) {
				t.Errorf("%q of mode %v: would do %q, warns %q", name, closed, created, warned)
			}
			if got := mode(t, path).Perm(); got != closed {
				t.Errorf("%q of mode %v has mode %v", name, closed, got)
			}
			must(t, os.Chmod(path, 0o700))
		}
	}
}

// A file of a group that the user is in gets it, and its set-group-id bit; one of another group has neither.
func TestOwnGroups(t *testing.T) {
	if !asUser(t) {
		return
	}
	s := backuptest.New(t)
	s.Write("d/f", "content")
	s.Write("own", "content")
	for _, name := range []string{"d", "d/f"} {
		must(t, os.Chown(s.Path(name), -1, otherGroup))
		must(t, os.Chmod(s.Path(name), 0o755|os.ModeSetgid))
	}
	must(t, os.Symlink("nowhere", s.Path("s")))
	must(t, os.Lchown(s.Path("s"), -1, otherGroup))
	s.Save()
	group := func(path string) uint32 {
		info, err := os.Lstat(path)
		must(t, err)
		return info.Sys().(*syscall.Stat_t).Gid
	}
	target, _ := s.Restore(func(o *restore.Options) { o.Ownership = local.None })
	must(t, os.Chown(target+"/own", -1, otherGroup))
	_, st := s.Restore(overwrite(target, restore.IfChanged), func(o *restore.Options) { o.Ownership = local.None })
	s.Log.None(t)
	if st.Amended != 1 || st.Kept != 3 {
		t.Errorf("%+v", st)
	}
	for name, want := range map[string]uint32{"d": otherGroup, "d/f": otherGroup, "s": otherGroup, "own": ownGroup} {
		if got := group(target + "/" + name); got != want {
			t.Errorf("%s is of group %d", name, got)
		}
	}
	if mode(t, target+"/d/f")&os.ModeSetgid == 0 || mode(t, target+"/d")&os.ModeSetgid == 0 {
		t.Error("set-group-id bits are gone")
	}
}
