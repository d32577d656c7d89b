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
		if err := w.try(); err != nil {
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
	untried []chunk.ID // recipes that are to be made
	files   []string   // one for each, which needs it
}

const triedAtOnce = 1024

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
			ok, err = w.chunk(item.ID, name)
		}
		whole = whole && ok
		return err
	}
	lists := func(id chunk.ID) ([]byte, error) { return w.rd.Metadata(w.ctx, id) }
	err = tree.Walk(n.Contents, lists, check)
	if err == nil && n.XattrContents != nil {
		err = tree.Walk(*n.XattrContents, lists, func(item tree.Item) error {
			ok, err := w.chunk(item.ID, name)
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

// chunk reports whether a chunk can be had from anywhere, as itself or by a recipe.
func (w *walker) chunk(id chunk.ID, of string) (bool, error) {
	ok, err := w.wholeChunk(id)
	if ok || err != nil {
		return ok, err
	}
	if _, ok := w.made[id.Key()]; ok {
		return true, nil
	}
	recipes, err := w.rd.Sources(w.ctx, id)
	if err != nil {
		return false, err
	}
	for _, sources := range recipes {
		ok = true
		for i := 0; ok && i < len(sources); i++ {
			if ok, err = w.wholeChunk(sources[i]); err != nil {
				return false, err
			}
		}
		if ok {
			return true, w.make(id, of)
		}
	}
	return false, nil
}

// make notes that a recipe is there with all its sources. If content can be opened, it is tried.
func (w *walker) make(id chunk.ID, of string) error {
	if len(w.made) < chunksKept {
		w.made[id.Key()] = struct{}{}
	}
	if !w.sum.Opened {
		return nil
	}
	w.untried, w.files = append(w.untried, id), append(w.files, of)
	if len(w.untried) < triedAtOnce {
		return nil
	}
	return w.try()
}

// try puts chunks together and compares them with their keyed hashes.
func (w *walker) try() error {
	ids, files := w.untried, w.files
	w.untried, w.files = nil, nil
	return w.rd.Fetch(w.ctx, ids, func(i int, _ []byte, err error) error {
		if err != nil {
			w.found(Finding{What: Damaged, Archive: w.archive, Path: files[i], Err: err})
		}
		return nil
	})
}

// wholeChunk reports whether a chunk can be had as itself.
func (w *walker) wholeChunk(id chunk.ID) (bool, error) {
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
