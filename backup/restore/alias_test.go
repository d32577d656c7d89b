package restore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
)

// Where a file system takes two names for one, the first is put back and the second is reported: by every policy, and each time.
func TestCaseless(t *testing.T) {
	at, again := backuptest.MountCaseless(t)
	s := backuptest.New(t)
	for _, name := range []string{"README", "Readme", "dir/É", "dir/é", "dir/x", "DIR/x", "DIR/y", "Alone", "between"} {
		s.Write(name, name)
	}
	must(t, os.Symlink("upper", s.Path("LINK")))
	must(t, os.Symlink("lower", s.Path("link")))
	must(t, os.Link(s.Path("Alone"), s.Path("Hard")))
	must(t, os.Link(s.Path("between"), s.Path("hard")))
	s.Save()
	second := []string{s.Path("Readme"), s.Path("dir"), s.Path("hard"), s.Path("link")}
	want := map[string]string{"README": "README", "DIR/x": "DIR/x", "DIR/y": "DIR/y", "between": "between", "Hard": "Alone"}
	check := func(what string, target string) {
		t.Helper()
		again()
		s.Log.Only(t, second...)
		for path, err := range s.Log.All {
			if !strings.Contains(err.Error(), "takes this name for that of another") {
				t.Errorf("%s: %s: %v", what, path, err)
			}
		}
		for name, is := range want {
			if got := backuptest.Content(t, target+"/"+name); got != is {
				t.Errorf("%s: %s holds %q", what, name, got)
			}
		}
		if to, err := os.Readlink(target + "/link"); err != nil || to != "upper" {
			t.Errorf("%s: the link leads to %q, %v", what, to, err)
		}
		for _, name := range backuptest.List(t, target) {
			if strings.HasPrefix(filepath.Base(name), ".nightjar") {
				t.Errorf("%s: left %s", what, name)
			}
		}
	}
	target := at + "/t"
	s.Restore(overwrite(target, restore.Refuse))
	check("new", target)
	for _, policy := range []restore.Overwrite{restore.IfChanged, restore.Always, restore.IfNewer, restore.Never, restore.IfChanged, restore.Always} {
		s.Restore(overwrite(target, policy))
		check(fmt.Sprint("again, policy ", policy), target)
		s.Restore(overwrite(target, policy), func(o *restore.Options) { o.DryRun = true })
		check(fmt.Sprint("dry run, policy ", policy), target)
	}
	// Something was there by the second name, or something else.
	for i, policy := range []restore.Overwrite{restore.Always, restore.IfNewer} {
		target := fmt.Sprintf("%s/there%d", at, i)
		for _, name := range []string{"readme", "between", "dir/X", "dir/own"} {
			put(t, target+"/"+name, "there")
		}
		again()
		s.Restore(overwrite(target, policy))
		check("beside others", target)
		if backuptest.Content(t, target+"/dir/own") != "there" {
			t.Error("what else was there is not")
		}
	}
}

// What has been put back long before is remembered, too.
func TestCaselessLongAfter(t *testing.T) {
	at, again := backuptest.MountCaseless(t)
	s := backuptest.New(t)
	s.Write("README", "README")
	for i := range 300 { // more than a window takes with few descriptors
		s.Write(fmt.Sprintf("d%03d/x", i), "x")
	}
	s.Write("readme", "readme")
	s.Save()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	few := was
	few.Cur = 512
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	target := at + "/t"
	must(t, os.Mkdir(target, 0o755))
	for i := range 2 {
		s.Restore(overwrite(target, restore.Always))
		s.Log.Only(t, s.Path("readme"))
		again()
		if got := backuptest.Content(t, target+"/readme"); got != "README" {
			t.Errorf("run %d: holds %q", i, got)
		}
	}
}

// Several names of a file in one directory are no aliases, whatever the archive has in them.
func TestLinkedTarget(t *testing.T) {
	s := backuptest.New(t)
	for _, name := range []string{"a", "b", "c"} {
		s.Write(name, "saved "+name)
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	for _, policy := range []restore.Overwrite{restore.Always, restore.IfChanged, restore.Never} {
		target := t.TempDir()
		put(t, target+"/a", "there")
		must(t, os.Link(target+"/a", target+"/b"))
		must(t, os.Link(target+"/a", target+"/c"))
		must(t, os.Link(target+"/a", target+"/own"))
		_, st := s.Restore(overwrite(target, policy))
		s.Log.None(t)
		if policy == restore.Never {
			if st.Kept != 3 || inode(t, target+"/a") != inode(t, target+"/c") {
				t.Errorf("%+v", st)
			}
			continue
		}
		if backuptest.Content(t, target+"/own") != "there" {
			t.Error("a name that is none of ours has other content")
		}
		must(t, os.Remove(target+"/own"))
		backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	}
}
