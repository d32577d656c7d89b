package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/store"
)

// find returns what is found below the source, as "path archives size".
func (s *site) find(archives []repo.Archive, o FindOptions, include ...string) []string {
	s.t.Helper()
	o.Filter = filter(s.t, FilterOptions{Include: include})
	o.Problem = func(_, path string, err error) { s.log.add(path, err) }
	var lines []string
	must(s.t, Find(context.Background(), s.reader(), archives, o, func(f Found) error {
		name, _ := strings.CutPrefix(f.Path, s.src+"/")
		lines = append(lines, fmt.Sprint(name, " ", f.Archives, " ", f.Node.Size))
		return nil
	}))
	return lines
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	old := time.Now().Add(-48 * time.Hour)
	s.write("a/same.txt", "same")
	s.write("a/grows.log", "1")
	s.write("b/c/same.txt", "also same")
	must(t, os.Chtimes(s.path("a/same.txt"), old, old))
	var archives []repo.Archive
	save := func() {
		t.Helper()
		s.save()
		archives = append(archives, *s.last)
	}
	save()
	s.write("a/grows.log", "12")
	s.write("b/only.txt", "only in the second")
	save()
	must(t, os.Remove(s.path("b/only.txt")))
	s.write("a/grows.log", "123")
	save()
	must(t, os.RemoveAll(s.path("b")))
	save()

	for _, x := range []struct {
		o       FindOptions
		include []string
		want    []string
	}{
		{FindOptions{}, []string{"*.txt"}, []string{"a/same.txt [0 1 2 3] 4", "b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{FindOptions{}, []string{"*.log"}, []string{"a/grows.log [0] 1", "a/grows.log [1] 2", "a/grows.log [2 3] 3"}},
		{FindOptions{Larger: 4}, []string{"*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{FindOptions{Larger: 4, Smaller: 18}, []string{"**"}, []string{"b/c/same.txt [0 1 2] 9"}},
		{FindOptions{Older: old.Add(time.Hour)}, []string{"*.txt"}, []string{"a/same.txt [0 1 2 3] 4"}},
		{FindOptions{Newer: old.Add(time.Hour)}, []string{"*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{FindOptions{}, []string{s.src + "/b/**/*.txt"}, []string{"b/c/same.txt [0 1 2] 9", "b/only.txt [1] 18"}},
		{FindOptions{}, []string{"c/same.txt", "grows.log"}, []string{"a/grows.log [0] 1", "a/grows.log [1] 2", "a/grows.log [2 3] 3", "b/c/same.txt [0 1 2] 9"}},
		{FindOptions{}, []string{"c"}, []string{"b/c [0 1 2] 0"}}, // not what is below it
		{FindOptions{}, []string{"nothing"}, nil},
	} {
		if got := s.find(archives, x.o, x.include...); !slices.Equal(got, x.want) {
			t.Errorf("find %q with %+v: %q, want %q", x.include, x.o, got, x.want)
		}
	}
	s.log.none(t)
}

// What cannot be read is told, and the rest found.
func TestFindDamaged(t *testing.T) {
	t.Parallel()
	objects := store.NewMemory(nil)
	s := newSiteOn(t, objects)
	s.write("a", "content")
	s.save()
	archives := []repo.Archive{*s.last, *s.last}
	archives[1].Root.ID[0] ^= 1
	got := s.find(archives, FindOptions{}, "a")
	if want := []string{"a [0] 7"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	s.log.only(t, "/")
	if err := s.log.all["/"]; !errors.Is(err, repo.ErrMissing) {
		t.Errorf("reported %v", err)
	}
}

// An error of the caller's ends the search, and so does the end of the context.
func TestFindEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("a", "")
	s.write("b", "")
	s.save()
	archives := []repo.Archive{*s.last}
	enough, n := errors.New("enough"), 0
	err := Find(context.Background(), s.reader(), archives, FindOptions{}, func(Found) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Find(ctx, s.reader(), archives, FindOptions{}, func(Found) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
