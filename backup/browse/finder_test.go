package browse_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/repo"
)

// A Finder finds what is there, in any order.
func TestFinder(t *testing.T) {
	s := backuptest.New(t)
	const n = 3000
	for i := range n {
		s.Write(fmt.Sprintf("many/%04d and a name that is long enough for several trees", i), fmt.Sprint(i))
	}
	s.Write("other/file", "x")
	s.Save()
	f, err := browse.NewFinder(t.Context(), s.Reader(), s.Last)
	must(t, err)
	in := s.Src[1:]
	for _, i := range rand.Perm(n) {
		path := fmt.Sprintf("%s/many/%04d and a name that is long enough for several trees", in, i)
		if got, err := f.Find(path); err != nil || got == nil || got.Size != uint64(len(fmt.Sprint(i))) {
			t.Fatalf("%s: %v, %v", path, got, err)
		}
	}
	for path, there := range map[string]bool{"": true, in: true, in + "/many": true, in + "/other/file": true, in + "/other/file/x": false, in + "/none": false, in + "/none/x": false, in + "/many/0": false, in + "/many/9999": false, "/": false, "a//b": false} {
		if got, err := f.Find(path); err != nil || (got != nil) != there {
			t.Errorf("%q: %v, %v", path, got, err)
		}
	}
	if f, err = browse.NewFinder(t.Context(), s.Reader(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Find("x"); got != nil || err != nil {
		t.Errorf("in no archive: %v, %v", got, err)
	}
	damaged := *s.Last
	damaged.Root = repo.Root{}
	if f, err = browse.NewFinder(t.Context(), s.Reader(), &damaged); err == nil {
		t.Error("an archive without a root is opened")
	}
	if got, err := f.Find("x"); got != nil || err != nil {
		t.Errorf("in an archive that cannot be read: %v, %v", got, err)
	}
}
