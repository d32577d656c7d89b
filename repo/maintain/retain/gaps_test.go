package retain

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
)

func TestGaps(t *testing.T) {
	id := func(n byte) index.ObjectID { return index.ObjectID{n} }
	archive := func(n, predecessor byte, host string) repo.Archive {
		a := repo.Archive{Record: repo.Record{Host: host}, ID: id(n).String()}
		if predecessor > 0 {
			a.Predecessor = id(predecessor).String()
		}
		return a
	}
	late := archive(9, 0, "b")
	late.Standing = repo.Late
	for name, test := range map[string]struct {
		all       []repo.Archive
		unread    []byte          // listed, but they cannot be read, or lost
		forgotten map[byte]byte   // with their predecessors
		seen      []byte          // by this machine
		want      map[byte]string // who names it
	}{
		"none":                                   {},
		"the first has no predecessor":           {all: []repo.Archive{archive(1, 0, "a")}},
		"a chain":                                {all: []repo.Archive{archive(1, 0, "a"), archive(2, 1, "a"), archive(3, 2, "a")}},
		"the first of a chain":                   {all: []repo.Archive{archive(2, 1, "a"), archive(3, 2, "a")}, want: map[byte]string{1: id(2).String()}},
		"two links of a chain":                   {all: []repo.Archive{archive(1, 0, "a"), archive(4, 3, "a")}, want: map[byte]string{3: id(4).String()}},
		"of two hosts":                           {all: []repo.Archive{archive(2, 1, "a"), archive(4, 3, "b")}, want: map[byte]string{1: id(2).String(), 3: id(4).String()}},
		"it cannot be read":                      {all: []repo.Archive{archive(2, 1, "a")}, unread: []byte{1}},
		"it is late":                             {all: []repo.Archive{archive(2, 9, "b"), late}},
		"what a late one names":                  {all: []repo.Archive{{Record: repo.Record{Predecessor: id(1).String()}, ID: id(9).String(), Standing: repo.Late}}, want: map[byte]string{1: id(9).String()}},
		"forgotten":                              {all: []repo.Archive{archive(2, 1, "a")}, forgotten: map[byte]byte{1: 0}},
		"before one that is forgotten":           {all: []repo.Archive{archive(3, 2, "a")}, forgotten: map[byte]byte{2: 1}, want: map[byte]string{1: id(2).String()}},
		"before one that is forgotten and there": {all: []repo.Archive{archive(2, 1, "a")}, forgotten: map[byte]byte{2: 1}, want: map[byte]string{1: id(2).String()}},
		"all of a chain forgotten":               {all: []repo.Archive{archive(4, 3, "a")}, forgotten: map[byte]byte{3: 2, 2: 1, 1: 0}},
		"seen":                                   {all: []repo.Archive{archive(1, 0, "a")}, seen: []byte{1, 2}, want: map[byte]string{2: "this machine"}},
		"seen and forgotten":                     {forgotten: map[byte]byte{2: 0}, seen: []byte{2}},
	} {
		t.Run(name, func(t *testing.T) {
			listed := func(x index.ObjectID) bool {
				return slices.Contains(test.unread, x[0]) || slices.ContainsFunc(test.all, func(a repo.Archive) bool { return a.ID == x.String() })
			}
			forgotten := map[index.ObjectID]GivenUp{}
			for n, predecessor := range test.forgotten {
				f := record.Forgotten{Archive: id(n)}
				if predecessor > 0 {
					f.Predecessor = id(predecessor).String()
				}
				forgotten[id(n)] = GivenUp{Forgotten: f}
			}
			var seen []Seen
			for _, n := range test.seen {
				seen = append(seen, Seen{ID: id(n)})
			}
			got := Gaps(test.all, forgotten, listed)
			maps.Copy(got, Unseen(seen, forgotten, listed))
			if len(got) != len(test.want) {
				t.Errorf("gaps %v, want %v", got, test.want)
			}
			for n, by := range test.want {
				if !strings.Contains(got[id(n)], by) {
					t.Errorf("archive %d: %q, want it named by %s", n, got[id(n)], by)
				}
			}
		})
	}
}
