package backup_test

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/backup/backuptest"
)

// What the kernel makes up is left out, and said to be, unless it was asked for itself; a file system in memory is none of those.
func TestPseudo(t *testing.T) {
	backuptest.NeedRoot(t)
	s := newSite(t)
	s.Write("file", "content")
	for _, dir := range []string{"proc", "sys", "memory"} {
		must(t, os.Mkdir(s.Path(dir), 0o755))
	}
	mount := func(kind, at string) {
		must(t, unix.Mount("none", s.Path(at), kind, unix.MS_RDONLY, ""))
		t.Cleanup(func() { must(t, unix.Unmount(s.Path(at), unix.MNT_DETACH)) })
	}
	mount("proc", "proc")
	mount("sysfs", "sys")
	backuptest.Mount(t, "", s.Path("memory"))
	s.Write("memory/file", "content")
	var noted []string
	note := func(o *backup.Options) { o.Note = func(path, _ string) { noted = append(noted, path) } }
	st := s.Save(note)
	s.Log.None(t)
	if want := []string{s.Path("proc"), s.Path("sys")}; !slices.Equal(noted, want) {
		t.Errorf("noted %q", noted)
	}
	if st.Files != 2 || st.Dirs != 4+s.Above() {
		t.Errorf("%+v", st)
	}
	target, _ := s.Restore()
	if got, want := backuptest.List(t, target), []string{"file", "memory/", "memory/file", "proc/", "sys/"}; !slices.Equal(got, want) {
		t.Errorf("restored %q", got)
	}
	noted = nil
	st = s.Save(note, func(o *backup.Options) {
		o.Paths = []string{s.Src, s.Path("sys/kernel/mm/hugepages"), s.Path("proc/version")}
	})
	if want := []string{s.Path("proc"), s.Path("sys")}; !slices.Equal(noted, want) || st.Files < 3 {
		t.Errorf("noted %q, %+v", noted, st)
	}
	noted = nil
	if st = s.Save(note, func(o *backup.Options) { o.Paths = []string{s.Path("sys/kernel/mm")} }); len(noted) > 0 || st.Files < 3 {
		t.Errorf("noted %q, %+v", noted, st)
	}
}
