package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
	"nightjar/chunk"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t)
	s.Write("empty", "")
	s.Write("small", "small")
	s.Write("large", string(backuptest.Random(5<<20)))
	f, err := os.Create(s.Path("sparse"))
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 3<<20)
	must(t, errors.Join(err, f.Close()))
	s.Save()
	target, st := s.Restore(func(o *restore.Options) { o.Verify = s.Repo.Namer })
	s.Log.None(t)
	if st.Verified != 4 || st.Files != 4 {
		t.Errorf("%d files, %d of them read back", st.Files, st.Verified)
	}
	backuptest.Same(t, backuptest.FactsOf(t, target), backuptest.FactsOf(t, s.Src))

	// What is kept is not read.
	_, st = s.Restore(func(o *restore.Options) {
		o.Verify, o.Target, o.Overwrite = s.Repo.Namer, target, restore.Never
	})
	if st.Verified != 0 || st.Kept != 4 {
		t.Errorf("%d files kept, %d read back", st.Kept, st.Verified)
	}
}

// Files are spoilt when they have been written and before they are read back.
func TestVerifySpoilt(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(f *os.File) error{
		"flipped":   func(f *os.File) error { _, err := f.WriteAt([]byte{'!'}, 1<<20); return err },
		"truncated": func(f *os.File) error { return f.Truncate(2 << 20) },
		"extended":  func(f *os.File) error { return f.Truncate(4 << 20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := backuptest.New(t)
			s.Write("file", strings.Repeat("content ", 3<<17))
			s.Save()
			target := t.TempDir()
			there := filepath.Join(target, "file")
			verify := func(o *restore.Options) {
				o.Target, o.Overwrite = target, restore.Always
				o.Verify = func() *chunk.Namer {
					found, err := filepath.Glob(filepath.Join(filepath.Dir(there), "*"))
					hidden, err2 := filepath.Glob(filepath.Join(filepath.Dir(there), ".nightjar-*"))
					if len(hidden) > 0 {
						found = hidden
					}
					if err != nil || err2 != nil || len(found) != 1 {
						t.Errorf("found %q and %q", found, hidden)
						return s.Repo.Namer()
					}
					f, err := os.OpenFile(found[0], os.O_WRONLY, 0)
					if err == nil {
						err = errors.Join(spoil(f), f.Close())
					}
					if err != nil {
						t.Error(err)
					}
					return s.Repo.Namer()
				}
			}
			check := func(st restore.Statistics) {
				t.Helper()
				s.Log.Only(t, s.Path("file"))
				if err := s.Log.All[s.Path("file")]; !errors.Is(err, restore.ErrVerify) {
					t.Errorf("reported %v", err)
				}
				if st.Verified != 0 || st.Problems != 1 {
					t.Errorf("%d read back, %d problems", st.Verified, st.Problems)
				}
			}
			_, st := s.Restore(verify)
			check(st)
			if _, err := os.Lstat(there); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file is there that is not as it was saved (%v)", err)
			}

			// What was there stays.
			must(t, os.WriteFile(there, []byte("mine"), 0o600))
			s.Log = new(backuptest.Problems)
			_, st = s.Restore(verify)
			check(st)
			if b, err := os.ReadFile(there); err != nil || string(b) != "mine" {
				t.Errorf("what was there is now %q, %v", b[:min(len(b), 10)], err)
			}
		})
	}
}

// A machine that lost its power may have files of the right size and time with nothing in them. Going on, and reading back, finds those.
func TestVerifyKept(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t)
	for _, name := range []string{"good", "torn", "linked/a", "large"} {
		s.Write(name, strings.Repeat("content of "+name, 100))
	}
	s.Write("large", string(backuptest.Random(3<<20)))
	s.Write("empty", "")
	for _, name := range []string{"b", "c"} {
		must(t, os.Link(s.Path("linked/a"), s.Path("linked/"+name)))
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	target, _ := s.Restore()
	in := func(name string) string { return filepath.Join(target, name) }
	for _, name := range []string{"torn", "linked/a", "large"} {
		info, err := os.Stat(in(name))
		must(t, err)
		must(t, os.Truncate(in(name), info.Size()/2))
		must(t, os.Truncate(in(name), info.Size()))
		must(t, os.Chtimes(in(name), info.ModTime(), info.ModTime()))
	}
	must(t, os.Chmod(in("torn"), 0o600))
	must(t, os.Remove(in("linked/c")))
	done := map[string]restore.Action{}
	_, st := s.Restore(func(o *restore.Options) {
		o.Verify, o.Target, o.Overwrite = s.Repo.Namer, target, restore.IfChanged
		o.Report = func(path string, a restore.Action) { done[strings.TrimPrefix(path, s.Src+"/")] = a }
	})
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	// Two were good, three were made anew, and two are further names of one of those.
	if st.Verified != 5 || st.Files != 3 || st.Links != 2 || st.Kept != 2 || st.Amended != 0 {
		t.Errorf("%+v", st)
	}
	for name, action := range map[string]restore.Action{"good": restore.Kept, "empty": restore.Kept, "torn": restore.Replaced, "large": restore.Replaced, "linked/a": restore.Replaced} {
		if done[name] != action {
			t.Errorf("%s: %d, want %d", name, done[name], action)
		}
	}
	_, st = s.Restore(func(o *restore.Options) {
		o.Verify, o.Target, o.Overwrite = s.Repo.Namer, target, restore.IfChanged
	})
	s.Log.None(t)
	if st.Verified != 5 || st.Kept != 7 || st.Files+st.Links != 0 {
		t.Errorf("all is well: %+v", st)
	}
}
