package restore_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/local"
	"nightjar/backup/restore"
)

const noDump = 0x40

func flagsOf(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	must(t, err)
	return flags & (immutable | appendOnly | noDump)
}

// What chattr had set comes back when all else is there: content, names, what is in a folder. Where a run finds it, it stays; where not, it is put right.
func TestFlags(t *testing.T) {
	at := backuptest.MountExt(t)
	s := backuptest.New(t)
	s.Src = at + "/src"
	want := map[string]int{"dir": immutable, "dir/file": immutable | noDump, "log": appendOnly, "named": immutable, "plain": 0, "dir/in": appendOnly}
	must(t, os.MkdirAll(s.Path("dir/in"), 0o755))
	for _, name := range []string{"dir/file", "log", "named", "plain", "dir/in/file"} {
		s.Write(name, "content of "+name)
	}
	must(t, os.Link(s.Path("named"), s.Path("named2")))
	must(t, os.Link(s.Path("named"), s.Path("dir/in/named3")))
	for _, name := range []string{"dir/file", "log", "named", "dir/in", "dir"} {
		setFlags(t, s.Path(name), want[name])
	}
	s.Save()
	n, _, err := browse.LookUp(t.Context(), s.Reader(), s.Last, s.Path("log"))
	must(t, err)
	if born, ok := n.Birth(); !ok || time.Since(born.Time()) > time.Hour || n.Chattr() != "a" || n.Notes() != nil {
		t.Errorf("born %v, chattr %q", born, n.Chattr())
	}
	facts := backuptest.FactsOf(t, s.Src)
	target := at + "/target"
	clear := func() {
		for name := range want {
			setFlags(t, target+"/"+name, 0) // and when the test ends
			unsetFlags(t, target+"/"+name)
		}
	}
	check := func(what string, want map[string]int) {
		t.Helper()
		s.Log.None(t)
		for name, flags := range want {
			if got := flagsOf(t, target+"/"+name); got != flags {
				t.Errorf("%s: %s has %#x, want %#x", what, name, got, flags)
			}
		}
		backuptest.Same(t, backuptest.FactsOf(t, target).Below(), facts.Below())
	}
	_, first := s.Restore(overwrite(target, restore.Refuse), func(o *restore.Options) { o.Verify = s.Repo.Namer })
	t.Cleanup(clear)
	check("first", want)
	if first.Links != 2 {
		t.Errorf("%+v", first)
	}
	_, st := s.Restore(overwrite(target, restore.IfChanged))
	check("again", want)
	if st.Amended > 0 || st.Bytes > 0 {
		t.Errorf("again: %+v", st)
	}
	unsetFlags(t, target+"/log")
	unsetFlags(t, target+"/dir")
	_, st = s.Restore(overwrite(target, restore.IfChanged))
	check("put right", want)
	if st.Amended != 1 || st.Bytes > 0 {
		t.Errorf("put right: %+v", st)
	}
	// Who is not root sets none.
	clear()
	s.Restore(overwrite(target, restore.Always), func(o *restore.Options) { o.Ownership = local.None })
	check("by a user", map[string]int{"dir": 0, "log": 0, "named": 0})
	// What is not to be dumped is left out only if that is asked for.
	s.Save(backuptest.ExcludeNoDump)
	for name, there := range map[string]bool{"log": true, "dir/file": false} {
		if _, _, err := browse.LookUp(t.Context(), s.Reader(), s.Last, s.Path(name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func unsetFlags(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	was, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, was&^(immutable|appendOnly|noDump)))
}

// A target that knows no such flags: the file is there, and what it lacks is told.
func TestFlagsNotKept(t *testing.T) {
	at := backuptest.MountExt(t)
	s := backuptest.New(t)
	s.Src = at
	s.Write("file", "content")
	setFlags(t, s.Path("file"), immutable)
	s.Save()
	into, _ := backuptest.MountCaseless(t)
	target, st := s.Restore(func(o *restore.Options) { o.Target = into + "/t" })
	s.Log.Only(t, s.Path("file"))
	if backuptest.Content(t, target+"/file") != "content" || st.Files != 1 {
		t.Errorf("%+v", st)
	}
}
