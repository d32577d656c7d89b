package restore_test

import (
	"os"
	"testing"
	"time"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
)

// A target that keeps whole seconds, and none after 2038, has what it was given: nothing is fetched twice, and nothing is found to be different.
func TestCoarseTimes(t *testing.T) {
	at := backuptest.MountExt(t, "-I", "128")
	s := backuptest.New(t)
	s.Write("d/f", string(backuptest.Random(10_000)))
	s.Write("d/late", "content")
	must(t, os.Symlink("f", s.Path("d/link")))
	must(t, os.Chtimes(s.Path("d/f"), time.Time{}, time.Unix(1_700_000_000, 123_456_789)))
	must(t, os.Chtimes(s.Path("d/late"), time.Time{}, time.Unix(4_000_000_000, 5)))
	s.Save()
	target := at + "/target"
	_, first := s.Restore(overwrite(target, restore.Always), func(o *restore.Options) { o.Verify = s.Repo.Namer })
	s.Log.None(t)
	if first.Verified != 2 {
		t.Errorf("first: %+v", first)
	}
	for _, policy := range []restore.Overwrite{restore.IfChanged, restore.IfNewer} {
		for _, dry := range []bool{false, true} {
			_, st := s.Restore(overwrite(target, policy), func(o *restore.Options) { o.DryRun = dry })
			s.Log.None(t)
			if st.Bytes > 0 || st.Kept != 3 || st.Amended > 0 {
				t.Errorf("%v: %+v", policy, st)
			}
		}
	}
	// What was changed within the second is not what was saved: its time is another, if only by as much as the target keeps.
	must(t, os.WriteFile(target+"/d/f", backuptest.Random(10_001)[1:], 0o644))
	must(t, os.Chtimes(target+"/d/f", time.Time{}, time.Unix(1_700_000_001, 0)))
	if _, st := s.Restore(overwrite(target, restore.IfChanged)); st.Bytes != 10_000 {
		t.Errorf("%+v", st)
	}
	// A target that keeps times in full takes no time for another.
	fine, _ := s.Restore()
	must(t, os.Chtimes(fine+"/d/f", time.Time{}, time.Unix(1_700_000_000, 0)))
	if _, st := s.Restore(overwrite(fine, restore.IfChanged)); st.Bytes != 10_000 {
		t.Errorf("%+v", st)
	}
}

// A file system that knows no files without a name keeps tenths of microseconds.
func TestCoarseTimesByName(t *testing.T) {
	at, _ := backuptest.MountCaseless(t)
	s := backuptest.New(t)
	s.Write("f", string(backuptest.Random(10_000)))
	must(t, os.Chtimes(s.Path("f"), time.Time{}, time.Unix(1_700_000_000, 123_456_789)))
	s.Save()
	s.Restore(overwrite(at+"/target", restore.Always))
	_, st := s.Restore(overwrite(at+"/target", restore.IfChanged))
	s.Log.None(t)
	if st.Bytes > 0 || st.Kept != 1 {
		t.Errorf("%+v", st)
	}
	if names := backuptest.List(t, at+"/target"); len(names) != 1 {
		t.Errorf("it has left something: %v", names)
	}
}
