package prune_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// An archive that takes a tree of others for a list or a chunk, or a list for one of another level, lacks something. Those that take it for what it is lack nothing.
func TestPruneNamesWhoMisuses(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	good := c.Night()
	root := tree.Item{ID: good.Root.ID, Length: good.Root.Length}
	var list, upper tree.Item
	lists := func(saver *save.Saver) {
		id, err := saver.Content([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		list = maintaintest.List(t, saver, tree.Item{ID: id, Length: 1}, 3)
		upper = maintaintest.List(t, saver, list, 2)
	}
	made := func(nodes ...func() tree.Node) string {
		c.pass(time.Minute)
		return "archive/" + c.Made(func(saver *save.Saver) tree.Item {
			lists(saver)
			var all []tree.Node
			for _, n := range nodes {
				all = append(all, n())
			}
			return maintaintest.Tree(t, saver, maintaintest.Folder("root", maintaintest.Tree(t, saver, all...)))
		}).ID
	}
	bad := map[string]bool{
		made(func() tree.Node { return maintaintest.File("a", 1, root) }):  true,
		made(func() tree.Node { return maintaintest.File("a", 0, root) }):  true,
		made(func() tree.Node { return maintaintest.File("a", 1, upper) }): true,
		made(func() tree.Node { return maintaintest.File("a", 2, list) }):  true,
	}
	made(func() tree.Node { return maintaintest.File("b", 1, list) }, func() tree.Node { return maintaintest.File("c", 2, upper) })
	c.pass(time.Minute)
	c.Night()
	var incomplete *prune.IncompleteError
	if _, err := c.pruneAt(c.Store, prune.Options{}); !errors.As(err, &incomplete) {
		t.Fatalf("pruned: %v", err)
	}
	if len(incomplete.Archives) != len(bad) {
		t.Errorf("%d archives are named, want %d: %v", len(incomplete.Archives), len(bad), incomplete)
	}
	for _, one := range incomplete.Archives {
		if !bad["archive/"+one.Archive] {
			t.Errorf("%s is named", one.Archive)
		}
	}
}

// An archive that is deeper than a path may be long stops a prune, which says where, and costs no memory.
func TestPruneStopsAtDeepTrees(t *testing.T) {
	s := maintaintest.New(t)
	s.Made(func(saver *save.Saver) tree.Item {
		at := maintaintest.Tree(t, saver, maintaintest.File("end", 0))
		for range tree.MaxPath/2 + 10 {
			at = maintaintest.Tree(t, saver, maintaintest.Folder("d", at))
		}
		return maintaintest.Tree(t, saver, maintaintest.Folder("root", at))
	})
	if _, err := prune.Run(t.Context(), s.Open(true), prune.Options{}); !errors.Is(err, tree.ErrLong) || !strings.Contains(err.Error(), ": /d/d/d/") {
		t.Errorf("%.300v", err)
	}
}
