package maintain

import (
	"context"
	"errors"
	"path"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// archives walks all archives.
func (c *checker) archives(ctx context.Context) error {
	all, err := c.r.Archives(ctx, func(name string, err error) { c.found(Finding{What: Damaged, Object: name, Err: err}) })
	if err != nil {
		return err
	}
	for i := range all {
		a := &all[i]
		c.sum.Archives++
		w := walker{checker: c, ctx: ctx, archive: a.ID}
		if _, err := w.tree(a.Root.ID, ""); err != nil {
			return err
		}
	}
	return nil
}

// A walker goes through one archive.
type walker struct {
	*checker
	ctx     context.Context
	archive string
}

// tree checks a tree of the directory at a path, and what is below, and reports whether all is whole. The tree at "" holds the root alone.
func (w *walker) tree(id chunk.ID, at string) (whole bool, err error) {
	if _, ok := w.whole[id.Key()]; ok {
		return true, nil
	}
	encoded, err := w.rd.Metadata(w.ctx, id)
	if w.ctx.Err() != nil {
		return false, w.ctx.Err()
	}
	if errors.Is(err, repo.ErrUnavailable) {
		return false, err
	}
	var nodes []tree.Node
	if err == nil {
		nodes, err = tree.Decode(encoded)
	}
	if err != nil {
		w.found(Finding{What: Damaged, Archive: w.archive, Path: path.Join("/", at), Err: err})
		return false, nil
	}
	w.sum.Trees++
	whole = true
	for i := range nodes {
		ok, err := w.node(&nodes[i], at)
		if err != nil {
			return false, err
		}
		whole = whole && ok
	}
	if whole && len(w.whole) < treesKept {
		w.whole[id.Key()] = struct{}{}
	}
	return whole, nil
}

func (w *walker) node(n *tree.Node, at string) (whole bool, err error) {
	name := path.Join(at, n.Name)
	if at == "" {
		name = "/"
	}
	whole = true
	check := func(item tree.Item) error {
		if item.Hole {
			return nil
		}
		var ok bool
		var err error
		if n.IsDir() {
			ok, err = w.tree(item.ID, name)
		} else {
			ok, err = w.chunk(item.ID)
		}
		whole = whole && ok
		return err
	}
	lists := func(id chunk.ID) ([]byte, error) { return w.rd.Metadata(w.ctx, id) }
	err = tree.Walk(n.Contents, lists, check)
	if err == nil && n.XattrContents != nil {
		err = tree.Walk(*n.XattrContents, lists, func(item tree.Item) error {
			ok, err := w.chunk(item.ID)
			whole = whole && ok
			return err
		})
	}
	if n.IsRegular() {
		w.sum.Files++
	}
	if w.ctx.Err() != nil {
		return false, w.ctx.Err()
	}
	if err != nil || !whole && !n.IsDir() {
		w.found(Finding{What: Damaged, Archive: w.archive, Path: name, Err: err})
		whole = false
	}
	return whole, nil
}

// chunk reports whether a chunk can be had from anywhere.
func (w *walker) chunk(id chunk.ID) (bool, error) {
	locations, err := w.rd.Locations(w.ctx, id)
	if err != nil {
		return false, err
	}
	for _, at := range locations {
		_, lost := w.packs[at.Pack.ID]
		_, damaged := w.frames[frame{at.Pack.ID, at.Frame}]
		if !lost && !damaged {
			return true, nil
		}
	}
	return false, nil
}
