package walk_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// blobs are trees and lists in memory.
type blobs struct {
	t    *testing.T
	all  map[chunk.ID][]byte
	gets int
}

func newBlobs(t *testing.T) *blobs { return &blobs{t: t, all: map[chunk.ID][]byte{}} }

func (b *blobs) put(data []byte) (chunk.ID, error) {
	id := chunk.ID(sha256.Sum256(data))
	b.all[id] = slices.Clone(data)
	return id, nil
}

var errGone = errors.New("gone")

func (b *blobs) get(id chunk.ID) ([]byte, error) {
	b.gets++
	if data, ok := b.all[id]; ok {
		return data, nil
	}
	return nil, errGone
}

// tree stores a directory, which may be of several trees.
func (b *blobs) tree(nodes ...tree.Node) []tree.Item {
	b.t.Helper()
	e := tree.NewEncoder(make([]byte, 32), b.put)
	for i := range nodes {
		if err := e.Add(&nodes[i]); err != nil {
			b.t.Fatal(err)
		}
	}
	items, err := e.Finish()
	if err != nil {
		b.t.Fatal(err)
	}
	return items
}

// list stores a list.
func (b *blobs) list(items ...tree.Item) tree.Item {
	id, _ := b.put(tree.EncodeList(items))
	return tree.Item{ID: id, Length: tree.Contents{Items: items}.Size()}
}

// root stores the root of an archive.
func (b *blobs) root(nodes ...tree.Node) tree.Item {
	return b.tree(dir("root", b.tree(nodes...)...))[0]
}

func dir(name string, items ...tree.Item) tree.Node {
	return tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: items}}
}

func file(name string, level int, items ...tree.Item) tree.Node {
	c := tree.Contents{Level: level, Items: items}
	return tree.Node{Name: name, Mode: tree.Regular | 0o600, Links: 1, Size: uint64(c.Size()), Contents: c}
}

func piece(id byte, length int64) tree.Item { return tree.Item{ID: chunk.ID{id}, Length: length} }

func hole(length int64) tree.Item { return tree.Item{Hole: true, Length: length} }

// log has a walk note what it is told.
func log(w *walk.Walk) *[]string {
	var all []string
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	w.Node = func(n *tree.Node) error { note("%s", w.Path()); return nil }
	w.Chunk = func(item tree.Item, offset int64) error { note("%d at %d", item.ID[0], offset); return nil }
	w.Left = func(n *tree.Node, err error) error {
		if err != nil {
			note("%s: %v", w.Path(), walk.Cause(err))
		}
		return nil
	}
	return &all
}

func same(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("got %q, want %q", *got, want)
	}
}

func TestWalk(t *testing.T) {
	b := newBlobs(t)
	attributes := file("c", 0, piece(7, 5))
	attributes.XattrContents = &tree.Contents{Level: 1, Items: []tree.Item{b.list(piece(8, 4000), piece(9, 200))}}
	root := b.root(
		dir("a", b.tree(file("x", 1, b.list(piece(1, 10), hole(5)), b.list(piece(2, 3))), file("y", 0))...),
		dir("b"), attributes)
	w := walk.Walk{Get: b.get}
	got := log(&w)
	if err := w.Root(root.ID, root.Length); err != nil {
		t.Fatal(err)
	}
	same(t, got, "/", "/a", "/a/x", "1 at 0", "2 at 15", "/a/y", "/b", "/c", "7 at 0", "8 at -1", "9 at -1")

	// What Node skips is not read.
	b.gets, *got = 0, nil
	node := w.Node
	w.Node = func(n *tree.Node) error {
		_ = node(n)
		if n.Name == "a" {
			return walk.ErrSkip
		}
		return nil
	}
	w.Chunk = nil
	if err := w.Root(root.ID, root.Length); err != nil || b.gets != 2 {
		t.Errorf("%d trees and lists read, %v", b.gets, err)
	}
	same(t, got, "/", "/a", "/b", "/c")
}

// A directory of several trees in lists is walked in order; of one of which a part is gone the rest is.
func TestParts(t *testing.T) {
	b := newBlobs(t)
	var nodes []tree.Node
	for i := range 8000 {
		nodes = append(nodes, file(fmt.Sprintf("%05d", i), 0))
	}
	items := b.tree(nodes...)
	half := len(items) / 2
	d := dir("d", b.list(items[:half]...), b.list(items[half:]...))
	d.Contents.Level = 1
	walked := func() (names []string, failed int) {
		w := walk.Walk{Get: b.get}
		w.Node = func(n *tree.Node) error { names = append(names, w.Path()); return nil }
		w.Failed = func(walk.Use, error) error { failed++; return nil }
		if err := w.Dir(&d, "/at"); err != nil {
			t.Fatal(err)
		}
		return names, failed
	}
	names, failed := walked()
	if len(names) != len(nodes) || names[17] != "/at/00017" || failed > 0 || !slices.IsSorted(names) {
		t.Errorf("%d names, %d failed", len(names), failed)
	}
	delete(b.all, items[1].ID)
	delete(b.all, d.Contents.Items[1].ID)
	if some, failed := walked(); failed != 2 || len(some) == 0 || len(some) >= len(names) {
		t.Errorf("%d names, %d failed", len(some), failed)
	}
	// In another order it is none.
	d.Contents = tree.Contents{Items: []tree.Item{items[2], items[0]}}
	if _, failed := walked(); failed != 1 {
		t.Errorf("%d failed", failed)
	}
	d.Contents = tree.Contents{Level: 1, Items: []tree.Item{b.list(items[0], hole(5))}}
	w := walk.Walk{Get: b.get}
	if err := w.Dir(&d, "/"); err == nil {
		t.Error("a hole in a directory")
	}
}

// Each error names its path from the root, and what is below a tree once and again.
func TestErrors(t *testing.T) {
	b := newBlobs(t)
	lost := dir("lost", tree.Item{ID: chunk.ID{1}, Length: 9})
	root := b.root(dir("a", b.tree(dir("b", b.tree(lost)...))...), file("f", 1, tree.Item{ID: chunk.ID{2}, Length: 9}))
	w := walk.Walk{Get: b.get}
	if err := w.Root(root.ID, root.Length); !errors.Is(err, errGone) || err.Error() != "/a/b/lost: gone" || walk.Cause(err) != errGone {
		t.Error(err)
	}
	got := log(&w)
	var uses []walk.Use
	w.Failed = func(u walk.Use, err error) error { uses = append(uses, u); return err }
	w.Leave = func(u walk.Use, err error) error {
		if err != nil {
			t.Errorf("left %v with %v", u, err)
		}
		return err
	}
	if err := w.Root(root.ID, root.Length); err != nil {
		t.Error(err)
	}
	same(t, got, "/", "/a", "/a/b", "/a/b/lost", "/a/b/lost: gone", "/f", "/f: gone")
	if want := []walk.Use{{ID: chunk.ID{1}, Kind: walk.Tree}, {ID: chunk.ID{2}, Kind: walk.List}}; !slices.Equal(uses, want) {
		t.Errorf("failed: %v", uses)
	}
	wrong := b.root(dir("a", tree.Item{ID: root.ID, Length: root.Length + 1}))
	if err := (&walk.Walk{Get: b.get}).Root(wrong.ID, wrong.Length); err == nil || !strings.Contains(err.Error(), "bytes, not") {
		t.Error(err)
	}
}

// chain stores a tree of so many levels, each with others beside it, and returns its root.
func (b *blobs) chain(levels int, name string, beside ...tree.Node) tree.Item {
	items := b.tree(file("end", 0))
	for range levels {
		items = b.tree(append([]tree.Node{dir(name, items...)}, beside...)...)
	}
	return b.tree(dir("root", items...))[0]
}

// Paths end at tree.MaxPath, however deep the trees are.
func TestLong(t *testing.T) {
	b := newBlobs(t)
	root := b.chain(10_000, "d")
	w := walk.Walk{Get: b.get}
	if err := w.Root(root.ID, root.Length); !errors.Is(err, tree.ErrLong) || !strings.HasPrefix(err.Error(), "/d/d/d/") {
		t.Errorf("%.100v", err)
	}
	deepest, long := 0, 0
	w.Node = func(*tree.Node) error { deepest = max(deepest, len(w.Path())); return nil }
	w.Long = func(n *tree.Node) error { long++; return nil }
	if err := w.Root(root.ID, root.Length); err != nil || deepest != tree.MaxPath || long != 1 {
		t.Errorf("to a path of %d, %d longer, %v", deepest, long, err)
	}
}

// peak runs f and returns how much the heap grew while it ran, as seen from time to time through look.
func peak(f func(look func())) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := int64(m.HeapAlloc), int64(0)
	f(func() {
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, int64(m.HeapAlloc)-before)
	})
	return most
}

// However large the trees on the way down are, what is held is bounded, and all is walked. An error at the bottom, which each tree on the way knows, costs no more.
func TestMemory(t *testing.T) {
	b := newBlobs(t)
	var beside []tree.Node
	for i := range 2000 {
		beside = append(beside, tree.Node{Name: fmt.Sprintf("z%04d", i), Mode: tree.FIFO})
	}
	const levels = 250
	root := b.chain(levels, "d", beside...)
	nodes := 0
	most := peak(func(look func()) {
		w := walk.Walk{Get: b.get}
		w.Node = func(n *tree.Node) error {
			if nodes++; n.IsDir() && nodes%100 == 0 {
				look()
			}
			return nil
		}
		if err := w.Root(root.ID, root.Length); err != nil {
			t.Fatal(err)
		}
	})
	if want := 2 + levels*(1+len(beside)); nodes != want || most > 48<<20 || most < 24<<20 {
		t.Errorf("%d nodes, not %d; %d bytes", nodes, want, most)
	}

	root = b.chain(10_000, "d")
	broken := map[walk.Use]error{}
	most = peak(func(look func()) {
		w := walk.Walk{Get: b.get}
		w.Leave = func(u walk.Use, err error) error {
			broken[u] = err
			return err
		}
		if err := w.Root(root.ID, root.Length); !errors.Is(err, tree.ErrLong) {
			t.Errorf("%.100v", err)
		}
		look()
	})
	if len(broken) != tree.MaxPath/2+2 || most > 16<<20 {
		t.Errorf("%d trees, %d bytes", len(broken), most)
	}
}

// What was given up on the way down and cannot be read again ends the walk.
func TestReadAgain(t *testing.T) {
	b := newBlobs(t)
	var beside []tree.Node
	for i := range 2000 {
		beside = append(beside, tree.Node{Name: fmt.Sprintf("z%04d", i), Mode: tree.FIFO})
	}
	root := b.chain(150, "d", beside...)
	w := walk.Walk{Get: b.get}
	w.Node = func(n *tree.Node) error {
		if n.Name == "end" {
			clear(b.all)
		}
		return nil
	}
	if err := w.Root(root.ID, root.Length); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// A tree bomb ends a walk of paths, and a walk of each tree once ends anyway. What honest archives repeat does not end it.
func TestBomb(t *testing.T) {
	b := newBlobs(t)
	items := b.tree(file("x", 0))
	for range 40 {
		items = b.tree(dir("a", items...), dir("b", items...))
	}
	root := b.tree(dir("root", items...))[0]
	w := walk.Walk{Get: b.get, Guard: new(walk.Guard)}
	if err := w.Root(root.ID, root.Length); !errors.Is(err, walk.ErrBomb) || b.gets > 500_000 {
		t.Errorf("%d trees read, %.100v", b.gets, err)
	}
	var seen walk.Seen
	w.Guard, w.Enter, b.gets = nil, func(u walk.Use, _ int64) (bool, error) { return seen.Add(u), nil }, 0
	if err := w.Root(root.ID, root.Length); err != nil || b.gets != 42 {
		t.Errorf("%d trees read, %v", b.gets, err)
	}

	// Lists that are not there, or are empty of trees, take as long.
	d := dir("d", tree.Item{ID: chunk.ID{1}, Length: 1})
	d.Contents.Level = 1
	for range 3 {
		d.Contents = tree.Contents{Level: d.Contents.Level + 1, Items: []tree.Item{b.list(slices.Repeat(d.Contents.Items, 4096)...)}}
	}
	w = walk.Walk{Get: b.get, Guard: new(walk.Guard), Failed: func(walk.Use, error) error { return nil }}
	if err := w.Dir(&d, "/"); !errors.Is(err, walk.ErrBomb) {
		t.Error(err)
	}
}

// What honest archives repeat ends no walk: snapshots that lie side by side, and folders of links to the same files in each of many nights.
func TestNoBomb(t *testing.T) {
	b := newBlobs(t)
	var snapshots, folders []tree.Node
	for i := range 50 {
		folders = append(folders, dir(fmt.Sprintf("%03d", i), b.tree(file(fmt.Sprint(i), 0))...))
	}
	once := b.tree(folders...)
	for i := range 8760 {
		snapshots = append(snapshots, dir(fmt.Sprintf("%04d", i), once...))
	}
	d := dir("d", b.tree(snapshots...)...)
	w := walk.Walk{Get: b.get, Guard: new(walk.Guard)}
	if err := w.Dir(&d, "/"); err != nil || b.gets < 8760*50 {
		t.Errorf("%d trees read, %v", b.gets, err)
	}

	alike := b.tree(file("x", 0))
	var users []tree.Node
	for i := range 200 {
		users = append(users, dir(fmt.Sprintf("%03d", i), alike...))
	}
	once, snapshots = b.tree(users...), nil
	for i := range 1000 {
		snapshots = append(snapshots, dir(fmt.Sprintf("%04d", i), once...))
	}
	d, b.gets = dir("d", b.tree(snapshots...)...), 0
	w.Guard = new(walk.Guard)
	if err := w.Dir(&d, "/"); err != nil || b.gets < 1000*200 {
		t.Errorf("%d trees read, %v", b.gets, err)
	}
}
