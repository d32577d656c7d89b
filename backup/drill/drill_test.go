package drill_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/backup/backuptest"
	"nightjar/backup/drill"
	"nightjar/backup/local"
)

func TestParseSample(t *testing.T) {
	for text, want := range map[string]drill.Sample{"5%": {Share: 0.05}, "2G": {Bytes: 2 << 30}, "200": {Files: 200}, "100%": {Share: 1}} {
		if s, err := drill.ParseSample(text); err != nil || s != want {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "0%", "101%", "1000001", "x", "0M"} {
		if s, err := drill.ParseSample(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

// A sample has what it says, and is the same with the same seed.
func TestChoose(t *testing.T) {
	s := backuptest.New(t)
	for i := range 400 {
		s.Write(fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprintf("%01000d", i))
	}
	s.Write("large", string(backuptest.Random(1<<20)))
	s.Save()
	choose := func(sample drill.Sample, seed uint64) drill.Choice {
		t.Helper()
		c, err := drill.Choose(t.Context(), s.Reader(), s.Last, sample, seed)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, x := range []struct {
		sample          drill.Sample
		least, most     uint64
		bytes, larger   uint64
		all, restorable bool
	}{
		{drill.Sample{}, 401, 401, 2 << 20, 0, true, false},
		{drill.Sample{Share: 1}, 401, 401, 2 << 20, 0, true, false},
		{drill.Sample{Share: 0.1}, 15, 80, 2 << 20, 0, false, true},
		{drill.Sample{Share: 1e-9}, 1, 1, 1000, 0, false, true},
		{drill.Sample{Files: 9}, 9, 9, 2 << 20, 0, false, true},
		{drill.Sample{Bytes: 50_500}, 50, 50, 50_500, 1, false, true},
		{drill.Sample{Bytes: 10}, 1, 1, 1000, 401, false, true},
	} {
		c := choose(x.sample, 7)
		if c.Files < x.least || c.Files > x.most || c.Bytes > x.bytes || c.Larger != x.larger || c.All != x.all || c.Of != 401 {
			t.Errorf("%+v: %+v", x.sample, c)
		}
		if !x.restorable {
			continue
		}
		target := filepath.Join(t.TempDir(), "x")
		r, err := drill.Run(t.Context(), s.Reader(), s.Last, choose(x.sample, 7), drill.Options{Target: target, Namer: s.Repo.Namer, Ownership: local.ByName, Now: time.Now})
		if err != nil || r.Sums.Files != c.Files || r.Verified != c.Files || r.Different+r.Refusals+r.NeedRoot != 0 {
			t.Errorf("%+v: %v, %+v", x.sample, err, r)
		}
	}
	if a, b := backuptest.List(t, s.Src), choose(drill.Sample{Files: 9}, 8); len(a) == 0 || b.Files != 9 {
		t.Error("another seed draws no nine files")
	}
}

// Each thing that is not as it was saved is told of.
func TestDifferences(t *testing.T) {
	s := backuptest.New(t)
	for _, name := range []string{"whole", "flipped", "mode", "gone", "d/time"} {
		s.Write(name, "what is in "+name)
	}
	must(t, os.Symlink("whole", s.Path("link")))
	must(t, os.Link(s.Path("whole"), s.Path("hard")))
	s.Save()
	target := filepath.Join(t.TempDir(), "x")
	at := func(name string) string { return filepath.Join(target, s.Src, name) }
	spoil := func() {
		before, err := os.Stat(at("flipped"))
		must(t, err)
		must(t, os.WriteFile(at("flipped"), []byte("what is in Flipped"), 0o600))
		must(t, os.Chtimes(at("flipped"), before.ModTime(), before.ModTime()))
		must(t, os.Chmod(at("mode"), 0o123))
		must(t, os.Remove(at("gone")))
		must(t, os.Chtimes(at("d/time"), time.Unix(1, 0), time.Unix(1, 0)))
		must(t, os.Remove(at("hard")))
		must(t, os.Link(at("d/time"), at("hard")))
	}
	all, err := drill.Choose(t.Context(), s.Reader(), s.Last, drill.Sample{}, 0)
	must(t, err)
	r, err := drill.Run(t.Context(), s.Reader(), s.Last, all, drill.Options{Target: target, Namer: s.Repo.Namer, Ownership: local.ByName, Restored: spoil, Now: time.Now})
	must(t, err)
	found := map[string]error{}
	for _, d := range r.Differences {
		found[filepath.Base(d.Path)] = d.Err
	}
	for name, want := range map[string]error{"flipped": drill.ErrContent, "mode": drill.ErrAttributes, "gone": drill.ErrMissing, "time": drill.ErrContent, "hard": drill.ErrContent} {
		if !errors.Is(found[name], want) {
			t.Errorf("%s: %v, want %v", name, found[name], want)
		}
		delete(found, name)
	}
	delete(found, filepath.Base(s.Src)) // in which something was removed
	delete(found, "whole")              // which is no name of the same file as hard any more
	for name, err := range found {
		t.Errorf("%s: %v", name, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
