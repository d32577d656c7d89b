package maintaintest

import (
	"context"
	"testing"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// Made stores an archive that no backup would make; make returns its root.
func (s *Site) Made(make func(*save.Saver) tree.Item) *repo.Archive {
	s.T.Helper()
	a, err := save.Write(context.Background(), s.Open(false), new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		root := make(saver)
		return &repo.Record{Host: "host", Job: "made", Root: repo.Root{ID: root.ID, Length: root.Length}}, w.Flush()
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return a
}

// Tree saves a tree of nodes.
func Tree(t testing.TB, saver *save.Saver, nodes ...tree.Node) tree.Item {
	t.Helper()
	e := tree.NewEncoder(make([]byte, 32), saver.Tree)
	for i := range nodes {
		if err := e.Add(&nodes[i]); err != nil {
			t.Fatal(err)
		}
	}
	items, err := e.Finish()
	if err != nil || len(items) != 1 {
		t.Fatal(len(items), err)
	}
	return items[0]
}

// List saves a list that names an item so often.
func List(t testing.TB, saver *save.Saver, item tree.Item, often int) tree.Item {
	t.Helper()
	items := make([]tree.Item, often)
	for i := range items {
		items[i] = item
	}
	id, err := saver.List(tree.EncodeList(items))
	if err != nil {
		t.Fatal(err)
	}
	return tree.Item{ID: id, Length: item.Length * int64(often)}
}

// Folder is a directory of trees.
func Folder(name string, trees ...tree.Item) tree.Node {
	return tree.Node{Name: name, Mode: tree.Directory | 0o700, Contents: tree.Contents{Items: trees}}
}

// File is a file of items of a level.
func File(name string, level int, items ...tree.Item) tree.Node {
	c := tree.Contents{Level: level, Items: items}
	return tree.Node{Name: name, Mode: tree.Regular | 0o600, Links: 1, Size: uint64(c.Size()), Contents: c}
}

// Chunk is a chunk of content that is not stored, of a byte.
func Chunk(id byte) tree.Item { return tree.Item{ID: chunk.ID{id}, Length: 1} }
