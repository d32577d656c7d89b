package browse

import (
	"context"
	"fmt"
	"path"
	"sort"
	"sync"

	"nightjar/chunk"
	"nightjar/internal/lru"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// finderTrees is how many bytes of decoded trees a Finder keeps, about.
const finderTrees = 8 << 20

// A Finder finds many entries of one archive by their paths, in any order. Of each directory on the way it reads all
// trees once, for the names with which they begin; then one for an entry, unless that is among the last ones. It
// follows no symbolic links. It is safe for concurrent use.
type Finder struct {
	mu    sync.Mutex
	fetch func(chunk.ID) ([]byte, error)
	root  *tree.Node
	dirs  map[string]*directory
	trees *lru.Cache[chunk.ID, []tree.Node]
}

// A directory is what a Finder knows of one.
type directory struct {
	trees []tree.Item
	first []string // the name with which each begins
	err   error    // it cannot be read
}

// NewFinder returns a Finder for an archive; nil: one that finds nothing. ctx is for all that is read.
func NewFinder(ctx context.Context, rd *repo.Reader, a *repo.Archive) (*Finder, error) {
	f := &Finder{fetch: rd.Fetcher(ctx), dirs: map[string]*directory{}, trees: lru.New[chunk.ID, []tree.Node](finderTrees)}
	var err error
	f.root, err = Root(ctx, rd, a)
	return f, err
}

// Find returns the entry at a path without a slash at its beginning, of which "" is the root; nil: there is none.
func (f *Finder) Find(at string) (*tree.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(at)
}

func (f *Finder) find(at string) (*tree.Node, error) {
	if at == "" || f.root == nil {
		return f.root, nil
	}
	parent, name := path.Split(at)
	if parent != "" {
		parent = parent[:len(parent)-1]
	}
	d, err := f.directory(parent)
	if d == nil || err != nil {
		return nil, err
	}
	i := sort.Search(len(d.first), func(i int) bool { return d.first[i] > name }) - 1
	if i < 0 {
		return nil, nil
	}
	nodes, err := f.tree(d.trees[i].ID)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", parent, err)
	}
	if k := sort.Search(len(nodes), func(k int) bool { return nodes[k].Name >= name }); k < len(nodes) && nodes[k].Name == name {
		return &nodes[k], nil
	}
	return nil, nil
}

// directory returns the directory at a path, nil if there is none.
func (f *Finder) directory(at string) (*directory, error) {
	if d, ok := f.dirs[at]; ok {
		return d, d.err
	}
	n, err := f.find(at)
	if n == nil || err != nil || !n.IsDir() {
		return nil, err
	}
	d := &directory{}
	f.dirs[at] = d
	d.err = tree.Walk(n.Contents, f.fetch, func(item tree.Item) error {
		nodes, err := f.tree(item.ID)
		if err == nil && len(d.first) > 0 && nodes[0].Name <= d.first[len(d.first)-1] {
			return fmt.Errorf("tree %v: name %q does not follow", item.ID, nodes[0].Name)
		}
		if err == nil {
			d.trees, d.first = append(d.trees, item), append(d.first, nodes[0].Name)
		}
		return err
	})
	if d.err != nil {
		d.err = fmt.Errorf("read %q: %w", at, d.err)
	}
	return d, d.err
}

func (f *Finder) tree(id chunk.ID) ([]tree.Node, error) {
	if nodes, ok := f.trees.Get(id); ok {
		return nodes, nil
	}
	encoded, err := f.fetch(id)
	if err != nil {
		return nil, fmt.Errorf("tree %v: %w", id, err)
	}
	nodes, err := tree.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("tree %v: %w", id, err)
	}
	f.trees.Put(id, nodes, 4*len(encoded))
	return nodes, nil
}
