// Package walk goes through the trees of archives: one walk for all that reads them, be it once for each tree, as prune, check and copies do, or once for each path, as
// listings and restores do.
//
// What it reads comes from whoever made the archive, so a walk bounds what that can cost. No path is longer than tree.MaxPath, and so no tree is deeper than half of
// that. Whatever lies on the way down, at most 32 MiB of decoded trees and lists are held: those further up are read again when the walk comes back. A Guard ends a walk of paths
// when a few trees name each other more often than anybody can count.
//
// The package reads through a function, and knows nothing of packs, readers or repositories.
package walk

import (
	"errors"
	"fmt"
	"strings"

	"nightjar/chunk"
	"nightjar/repo/tree"
)

// ErrSkip is what Node returns to have a walk pass over what is in an entry.
var ErrSkip = errors.New("skip this entry")

// Kind is what an id stands for.
type Kind int

// The kinds.
const (
	Chunk Kind = iota
	List
	Tree
)

// A Use is what an id is taken for. One that takes a tree for a list, or a list for one of another level, is broken, and no other use for that.
type Use struct {
	ID    chunk.ID
	Kind  Kind
	Level int  // of a list's items
	Trees bool // of a list: it is of trees, not of chunks
}

// A Walk goes through trees depth first, in order. Get is needed; other functions that are nil are for nothing to do. An error that one of them returns ends the walk,
// but for what Left, Failed and Leave make of it. It is for one goroutine.
type Walk struct {
	// Get fetches a tree or a list. Of one that was entered it may be asked again.
	Get func(id chunk.ID) ([]byte, error)
	// Enter is asked of each tree and list, of so many bytes, whether it is to be read. Without it all are.
	Enter func(u Use, length int64) (bool, error)
	// Guard ends walks of paths that would never end. Without it all are walked.
	Guard *Guard
	// Node is told of each entry before what is in it.
	Node func(n *tree.Node) error
	// Long is told of the first entry of a tree whose path is longer than tree.MaxPath; all such are passed over. Without it that is an error.
	Long func(n *tree.Node) error
	// Chunk is told of each chunk of files and of attributes, and where it lies in the file; -1: in attributes. Without it their lists are not read.
	Chunk func(item tree.Item, offset int64) error
	// Left is told of each entry, of which Node did not say ErrSkip, after what is in it, with the error that ended that. What it returns goes on up.
	Left func(n *tree.Node, err error) error
	// Failed is told of each tree and list that cannot be read or is none. If it returns nil the walk passes over it.
	Failed func(u Use, err error) error
	// Leave is told of each other tree and list that was entered, with the error that goes up from below it. What it returns goes on up.
	Leave func(u Use, err error) error

	pages pages
	path  []byte // of the entry that the walk is at
	root  bool   // the entry that comes next is the root
}

// Path returns the path of the entry that the walk is at.
func (w *Walk) Path() string {
	if len(w.path) == 0 {
		return "/"
	}
	return string(w.path)
}

// Root walks a whole archive: its root's path is "/".
func (w *Walk) Root(id chunk.ID, length int64) error {
	w.path, w.root = w.path[:0], true
	var x contents
	return w.tree(Use{ID: id, Kind: Tree}, length, &x)
}

// Dir walks what is in a directory with a path.
func (w *Walk) Dir(n *tree.Node, path string) error {
	w.path = append(w.path[:0], strings.TrimSuffix(path, "/")...)
	w.root = false
	x := contents{trees: true}
	return w.items(func() ([]tree.Item, error) { return n.Contents.Items, nil }, n.Contents.Level, &x)
}

// A PathError is about what lies at a path below a tree.
type PathError struct {
	Name string // of an entry of the tree; "" for the root
	Err  error  // maybe another PathError
}

func (e *PathError) Error() string {
	var names []string
	var err error = e
	for {
		below, ok := err.(*PathError)
		if !ok {
			return "/" + strings.Join(names, "/") + ": " + err.Error()
		}
		if below.Name != "" {
			names = append(names, below.Name)
		}
		err = below.Err
	}
}

func (e *PathError) Unwrap() error { return e.Err }

// Cause returns what a PathError is about, of other errors themselves.
func Cause(err error) error {
	for {
		e, ok := err.(*PathError)
		if !ok {
			return err
		}
		err = e.Err
	}
}

// contents are those of an entry that are being walked.
type contents struct {
	trees  bool   // of a directory
	attr   bool   // of attributes
	offset int64  // in a file
	after  string // the last name of a directory so far
}

// tree walks a tree.
func (w *Walk) tree(u Use, length int64, x *contents) error {
	if ok, err := w.enter(u, length); !ok {
		x.after = ""
		return err
	}
	p := w.pages.new(u, length)
	defer w.pages.drop(p)
	nodes, err := p.nodes(w.Get)
	if bomb := w.visit(p); bomb != nil {
		return bomb
	}
	if err == nil && nodes[0].Name <= x.after {
		err = fmt.Errorf("tree %v: name %q does not follow %q", u.ID, nodes[0].Name, x.after)
	}
	if err != nil {
		return w.failed(u, err)
	}
	count := len(nodes)
	x.after = strings.Clone(nodes[count-1].Name)
	nodes = nil
	long := false
	for i := 0; i < count && err == nil; i++ {
		err = w.node(p, i, &long)
	}
	return w.leave(u, err)
}

// node walks an entry of a tree; long notes that one was too long.
func (w *Walk) node(p *page, i int, long *bool) error {
	nodes, err := p.nodes(w.Get)
	if err != nil {
		return err
	}
	n := &nodes[i]
	name, up := n.Name, len(w.path)
	if root := w.root; root {
		name, w.root = "", false
		defer func() { w.root = root }()
	} else {
		w.path = append(append(w.path, '/'), name...)
		defer func() { w.path = w.path[:up] }()
	}
	if len(w.path) > tree.MaxPath {
		if w.Long != nil && *long {
			return nil
		}
		if *long = true; w.Long != nil {
			return w.Long(n)
		}
		return fmt.Errorf("entry %q: %w", name, tree.ErrLong)
	}
	if w.Node != nil {
		if err := w.Node(n); err == ErrSkip {
			return nil
		} else if err != nil {
			return err
		}
	}
	dir, level, attributes := n.IsDir(), n.Contents.Level, n.XattrContents != nil
	n, nodes = nil, nil
	if dir || w.Chunk != nil {
		x := contents{trees: dir}
		err = w.items(func() ([]tree.Item, error) {
			nodes, err := p.nodes(w.Get)
			if err != nil {
				return nil, err
			}
			return nodes[i].Contents.Items, nil
		}, level, &x)
	}
	if err == nil && attributes && w.Chunk != nil {
		err = w.attributes(p, i)
	}
	if w.Left != nil {
		nodes, failed := p.nodes(w.Get)
		if failed != nil {
			return failed
		}
		err = w.Left(&nodes[i], err)
	}
	if err != nil {
		return &PathError{strings.Clone(name), err}
	}
	return nil
}

// attributes walks the attributes of an entry that are content.
func (w *Walk) attributes(p *page, i int) error {
	nodes, err := p.nodes(w.Get)
	if err != nil {
		return err
	}
	c := *nodes[i].XattrContents
	return w.items(func() ([]tree.Item, error) { return c.Items, nil }, c.Level, &contents{attr: true})
}

// items walks those that load returns, which is called again after what lies below each.
func (w *Walk) items(load func() ([]tree.Item, error), level int, x *contents) error {
	items, err := load()
	if err != nil {
		return err
	}
	for j, count := 0, len(items); j < count; j++ {
		if items == nil {
			if items, err = load(); err != nil {
				return err
			}
		}
		item := items[j]
		switch {
		case item.Hole && (x.trees || x.attr):
			err = errors.New("hole outside a file")
		case item.Hole:
			x.offset += item.Length
		case level > 0:
			items = nil
			err = w.list(Use{item.ID, List, level - 1, x.trees}, item.Length, x)
		case x.trees:
			items = nil
			err = w.tree(Use{ID: item.ID, Kind: Tree}, item.Length, x)
		default:
			offset := x.offset
			if x.attr {
				offset = -1
			}
			err = w.Chunk(item, offset)
			x.offset += item.Length
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list walks a list.
func (w *Walk) list(u Use, length int64, x *contents) error {
	if ok, err := w.enter(u, length); !ok {
		x.after = ""
		x.offset += length
		return err
	}
	p := w.pages.new(u, length)
	defer w.pages.drop(p)
	load := func() ([]tree.Item, error) { return p.items(w.Get) }
	_, err := load()
	if bomb := w.visit(p); bomb != nil {
		return bomb
	}
	if err != nil {
		x.offset += length
		return w.failed(u, err)
	}
	return w.leave(u, w.items(load, u.Level, x))
}

func (w *Walk) enter(u Use, length int64) (bool, error) {
	if w.Enter == nil {
		return true, nil
	}
	ok, err := w.Enter(u, length)
	return ok && err == nil, err
}

func (w *Walk) visit(p *page) error {
	if w.Guard == nil {
		return nil
	}
	return w.Guard.Visit(p.use.ID, p.size)
}

func (w *Walk) failed(u Use, err error) error {
	if w.Failed == nil {
		return err
	}
	return w.Failed(u, err)
}

func (w *Walk) leave(u Use, err error) error {
	if w.Leave == nil {
		return err
	}
	return w.Leave(u, err)
}
