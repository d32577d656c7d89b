package browse_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/repo"
	"nightjar/repo/store"
)

// find returns what is found below the source, as "path archives size".
func find(s *backuptest.Site, archives []repo.Archive, o browse.FindOptions, include ...string) []string {
	s.T.Helper()
	o.Filter = backuptest.Filter(s.T, filter.Options{Include: include})
	o.Problem = func(_, path string, err error) { s.Log.Add(path, err) }
	var lines []string
	must(s.T, browse.Find(context.Background(), s.Reader(), archives, o, func(f browse.Found) error {
		name, _ := strings.CutPrefix(f.Path, s.Src+"/")
		lines = append(lines, fmt.Sprint(name, " ", f.Archives, " ", f.Node.Size))
		return nil
	}))
	return lines
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t)
	old := time.Now().Add(-48 * time.Hour)
	s.Write("a/same.txt", "same")
	s.Write("a/grows.log", "1")
	s.Write("b/c/same.txt", "also same")
	must(t, os.Chtimes(s.Path("a/same.txt"), old, old))
	var archives []repo.Archive
	save := func() {
		t.Helper()
		s.Save()
		archives = append(archives, *s.Last)
	}
	save()
	s.Write("a/grows.log", "12")
	s.Write("b/only.txt", "only in the second")
	save()
	must(t, os.Remove(s.Path("b/only.txt")))
	s.Write("a/grows.log", "123")
	save()
	must(t, os.RemoveAll(s.Path("b")))
	save()

	for _, x := range []struct {
		o       browse.FindOptions
		include []string
		want    []string
	}{
		{browse.FindOptions{}, []string{"*.txt"}, []string{"a/same.txt [0 1 2 3] 4", "b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{browse.FindOptions{}, []string{"*.log"}, []string{"a/grows.log [0] 1", "a/grows.log [1] 2", "a/grows.log [2 3] 3"}},
		{browse.FindOptions{Larger: 4}, []string{"*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{browse.FindOptions{Larger: 4, Smaller: 18}, []string{"**"}, []string{"b/c/same.txt [0 1 2] 9"}},
		{browse.FindOptions{Older: old.Add(time.Hour)}, []string{"*.txt"}, []string{"a/same.txt [0 1 2 3] 4"}},
		{browse.FindOptions{Newer: old.Add(time.Hour)}, []string{"*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{browse.FindOptions{}, []string{s.Src + "/b/**/*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{browse.FindOptions{}, []string{"c/same.txt", "grows.log"}, []string{"a/grows.log [0] 1", "a/grows.log [1] 2", "a/grows.log [2 3] 3", "b/c/same.txt [0 1 2] 9"}},
		{browse.FindOptions{}, []string{"c"}, []string{"b/c [0 1 2] 0"}}, // not what is below it
		{browse.FindOptions{}, []string{"nothing"}, nil},
	} {
		if got := find(s, archives, x.o, x.include...); !slices.Equal(got, x.want) {
			t.Errorf("find %q with %+v: %q, want %q", x.include, x.o, got, x.want)
		}
	}
	s.Log.None(t)
}

// What cannot be read is told, and the rest found.
func TestFindDamaged(t *testing.T) {
	t.Parallel()
	objects := store.NewMemory(nil)
	s := backuptest.NewOn(t, objects)
	s.Write("a", "content")
	s.Save()
	archives := []repo.Archive{*s.Last, *s.Last}
	archives[1].Root.ID[0] ^= 1
	got := find(s, archives, browse.FindOptions{}, "a")
	if want := []string{"a [0] 7"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	s.Log.Only(t, "/")
	if err := s.Log.All["/"]; !errors.Is(err, repo.ErrMissing) {
		t.Errorf("reported %v", err)
	}
}

// An error of the caller's ends the search, and so does the end of the context.
func TestFindEnds(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t)
	s.Write("a", "")
	s.Write("b", "")
	s.Save()
	archives := []repo.Archive{*s.Last}
	enough, n := errors.New("enough"), 0
	err := browse.Find(context.Background(), s.Reader(), archives, browse.FindOptions{}, func(browse.Found) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := browse.Find(ctx, s.Reader(), archives, browse.FindOptions{}, func(browse.Found) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Of what is the same in all archives, nothing is found, and no folder is read.
func TestFindDiffering(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t)
	s.Write("same/deep/file", "same")
	s.Write("both/changes", "1")
	s.Write("both/stays", "same")
	s.Write("goes/file", "x")
	s.Save()
	archives := []repo.Archive{*s.Last}
	s.Write("both/changes", "12")
	s.Write("comes/file", "xyz")
	must(t, os.RemoveAll(s.Path("goes")))
	s.Save()
	archives = append(archives, *s.Last)
	got := slices.DeleteFunc(find(s, archives, browse.FindOptions{Differing: true}), func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		return !strings.Contains(name, "/") || strings.HasPrefix(name, "/")
	})
	want := []string{"both/changes [0] 1", "both/changes [1] 2", "comes/file [1] 3", "goes/file [0] 1"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if all := find(s, archives[1:], browse.FindOptions{Differing: true}); len(all) > 0 {
		t.Errorf("one archive differs from itself: %q", all)
	}
}
