package restore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
)

// A file system that keeps neither links, FIFOs, owners nor modes, refuses names, knows no case and gives each spelling an inode of its own: what it cannot keep is
// reported each time, all else is there, and nothing is fetched twice.
func TestExFAT(t *testing.T) {
	at := backuptest.MountExFAT(t)
	s := backuptest.New(t)
	for _, name := range []string{"README", "readme", "DIR/y", "dir/x", "a:b", "new\nline", "odd?/in", "Plain", "trail.", "zuletzt"} {
		s.Write(name, name)
		must(t, os.Chmod(s.Path(name), 0o777))
		must(t, os.Chtimes(s.Path(name), time.Time{}, time.Unix(1_700_000_001, 123_456_789)))
	}
	for _, dir := range []string{".", "DIR", "dir", "odd?"} {
		must(t, os.Chmod(s.Path(dir), 0o777))
	}
	must(t, os.Link(s.Path("Plain"), s.Path("hard")))
	must(t, os.Symlink("plain", s.Path("link")))
	must(t, syscall.Mkfifo(s.Path("fifo"), 0o777))
	s.Save()
	aliases := []string{s.Path("dir"), s.Path("readme")}
	refused := append([]string{s.Path("a:b"), s.Path("new\nline"), s.Path("odd?"), s.Path("link"), s.Path("fifo")}, aliases...)
	target := at + "/t"
	for i, policy := range []restore.Overwrite{restore.Refuse, restore.IfChanged, restore.Always, restore.IfNewer, restore.IfChanged, restore.Never} {
		_, st := s.Restore(overwrite(target, policy), func(o *restore.Options) { o.Verify = s.Repo.Namer })
		if policy == restore.IfNewer || policy == restore.Never { // a file of its own since it was first put back
			s.Log.Only(t, refused...)
		} else {
			s.Log.Only(t, append(refused, s.Path("hard"))...)
		}
		for path, err := range s.Log.All {
			if strings.ContainsAny(filepath.Base(path), ":?\n") && !strings.Contains(err.Error(), "no name like this") {
				t.Errorf("%s: %v", path, err)
			}
		}
		if i > 0 && policy != restore.Always && (st.Bytes > 0 || st.Kept != 6) {
			t.Errorf("policy %v: %+v", policy, st)
		}
		for name, is := range map[string]string{"README": "README", "DIR/y": "DIR/y", "Plain": "Plain", "hard": "Plain", "trail.": "trail.", "zuletzt": "zuletzt"} {
			if got := backuptest.Content(t, target+"/"+name); got != is {
				t.Errorf("policy %v: %s holds %q", policy, name, got)
			}
		}
		if names := fmt.Sprint(backuptest.List(t, target)); strings.Contains(names, ".nightjar") || strings.Contains(names, "fifo") {
			t.Errorf("policy %v: left %s", policy, names)
		}
		if policy == restore.Refuse {
			continue
		}
		_, dry := s.Restore(overwrite(target, policy), func(o *restore.Options) { o.DryRun = true })
		s.Log.Only(t, aliases...)
		if policy == restore.IfChanged && dry.Kept != 5 { // that nothing can be linked shows later
			t.Errorf("policy %v: a dry run keeps %d", policy, dry.Kept)
		}
	}
}
