package check_test

import (
	"runtime"
	"strings"
	"testing"

	"nightjar/repo"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/keycheck"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A few lists and trees name each other more often than anybody can count: a check looks at each once, whether it is whole or not, and tells of it once.
func TestCheckEndsBesideBombs(t *testing.T) {
	const often, deep = 4096, 60
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	s.Night()
	bomb := func(leaf func(*save.Saver) tree.Item) {
		s.Made(func(saver *save.Saver) tree.Item {
			item := leaf(saver)
			for range 4 {
				item = maintaintest.List(t, saver, item, often)
			}
			file, other := maintaintest.File("bomb", 4, item), maintaintest.File("other", 0, leaf(saver))
			other.XattrContents = &tree.Contents{Level: 2, Items: []tree.Item{maintaintest.List(t, saver, maintaintest.List(t, saver, leaf(saver), often), often)}}
			at := maintaintest.Tree(t, saver, file, other)
			for range deep {
				at = maintaintest.Tree(t, saver, maintaintest.Folder("a", at), maintaintest.Folder("b", at))
			}
			return maintaintest.Tree(t, saver, maintaintest.Folder("root", at))
		})
	}
	bomb(func(saver *save.Saver) tree.Item {
		id, err := saver.Content([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return tree.Item{ID: id, Length: 1}
	})
	sum, found := s.Check(true, check.Options{ReadData: true})
	if len(found) > 0 || sum.Files != 3 {
		t.Errorf("%d files, found %q", sum.Files, found)
	}
	if _, err := keycheck.Prove(t.Context(), s.Open(true), func(*repo.Archive) bool { return true }, func(name string, err error) { t.Error(name, err) }); err != nil {
		t.Error(err)
	}
	bomb(func(*save.Saver) tree.Item { return maintaintest.Chunk(1) })
	if sum, found = s.Check(false, check.Options{}); len(found) != 2 || sum.Faults != 2 {
		t.Errorf("%d faults, found %q", sum.Faults, found)
	}
}

// What is whole for one use need not be for another: a list of chunks is no directory, and a list of lists none of chunks.
func TestCheckTellsUsesApart(t *testing.T) {
	s := maintaintest.New(t)
	s.Made(func(saver *save.Saver) tree.Item {
		id, err := saver.Content([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		list := maintaintest.List(t, saver, tree.Item{ID: id, Length: 1}, 3)
		upper := maintaintest.List(t, saver, list, 2)
		folder := maintaintest.Folder("folder", list)
		folder.Contents.Level = 1
		return maintaintest.Tree(t, saver, maintaintest.Folder("root", maintaintest.Tree(t, saver,
			maintaintest.File("a", 1, list), maintaintest.File("b", 2, upper), maintaintest.File("c", 1, upper), maintaintest.File("d", 2, list), folder)))
	})
	if sum, found := s.Check(false, check.Options{}); sum.Faults != 3 {
		t.Errorf("found %q", found)
	}
}

// Folders that are deeper than a path may be long are told of, once, and cost no memory; those above them are whole.
func TestCheckEndsAboveDeepTrees(t *testing.T) {
	s := maintaintest.New(t)
	deep := func(saver *save.Saver) tree.Item {
		at := maintaintest.Tree(t, saver, maintaintest.File("end", 0))
		for range tree.MaxPath/2 + 10 {
			at = maintaintest.Tree(t, saver, maintaintest.Folder("d", at), maintaintest.File("f", 0))
		}
		return maintaintest.Tree(t, saver, maintaintest.Folder("root", at))
	}
	s.Made(deep)
	s.Made(deep)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sum, found := s.Check(false, check.Options{})
	runtime.ReadMemStats(&after)
	if sum.Faults != 2 || len(found) != 2 || !strings.HasPrefix(found[0], "damaged  /d/d/d/") {
		t.Errorf("%d faults, found %d: %.200q", sum.Faults, len(found), found)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 512<<20 { // of which each path is a part
		t.Errorf("took %d bytes", took)
	}
}
