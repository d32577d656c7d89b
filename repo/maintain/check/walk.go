package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// walk goes through archives, down to the chunks of all files. Those that do not count come last: what a recipe makes is tried for the first alone that needs it.
func (c *checker) walk(ctx context.Context, all []repo.Archive) error {
	for _, counts := range []bool{true, false} {
		groups := map[string][]*repo.Archive{}
		for i := range all {
			if a := &all[i]; a.Counts() == counts {
				key := c.r.Circle(a).Key()
				groups[key] = append(groups[key], a)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(groups)) { // what is whole for one circle of hosts need not be for another
			if len(groups) > 1 || !counts {
				clear(c.whole)
				clear(c.made)
				clear(c.wholeLists)
			}
			for _, a := range groups[key] {
				if err := c.walkOne(ctx, a); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *checker) walkOne(ctx context.Context, a *repo.Archive) error {
	c.sum.Archives++
	w := walker{checker: c, ctx: ctx, rd: c.rd.For(repo.Of(c.r.Circle(a))), archive: a.ID, host: a.Host, counts: a.Counts(), broken: map[chunk.Key]struct{}{}}
	if _, err := w.tree(a.Root.ID, ""); err != nil {
		return err
	}
	if err := w.try(); err != nil {
		return err
	}
	if w.lacks > 0 {
		err := fmt.Errorf("it was stored too late to count, so prune keeps nothing for it: files and folders that are not whole: %d", w.lacks)
		c.found(Finding{What: Uncounted, Archive: a.ID, Path: "/", Err: err})
	}
	return nil
}

// A walker goes through one archive.
type walker struct {
	*checker
	ctx     context.Context
	rd      *repo.Reader // of what the archive may be made of
	archive string
	host    string // of it
	counts  bool
	lacks   int                    // entries of which chunks are gone, if it does not count
	untried []Piece                // with recipes that are to be made
	broken  map[chunk.Key]struct{} // trees below which something is wrong, and was told
}

// A Piece is a chunk in a file.
type Piece struct {
	ID     chunk.ID
	Path   string
	Offset int64 // in the file; -1: it is no content of a file
	Length int64
}

// Gone is a chunk, tree or list that cannot be had.
type Gone struct {
	Content  bool    // it is a chunk
	Pieces   []Piece // where it is needed: the first that were found
	Archives map[string]bool
	Hosts    map[string]bool // of these archives
	Made     bool            // its recipes were tried, and none makes it
}

const (
	triedAtOnce = 1024
	piecesKept  = 64 // of each chunk that is gone
)

// lose notes that a piece is gone, and reports whether that is known. What the archive may not be made of is not gone.
func (w *walker) lose(p Piece, content bool, err error) (known bool) {
	if errors.Is(err, repo.ErrForeign) {
		return false
	}
	if w.survey != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		g := w.survey.Gone[p.ID]
		if g == nil {
			g = &Gone{Content: content, Archives: map[string]bool{}, Hosts: map[string]bool{}}
			w.survey.Gone[p.ID] = g
		}
		if len(g.Pieces) < piecesKept {
			g.Pieces = append(g.Pieces, p)
		}
		g.Archives[w.archive], g.Hosts[w.host] = true, true
	}
	return w.lost.Chunk(p.ID)
}

// outOfReach reports whether the walk cannot go on: an error is the store's, or a repair would take for lost what is not.
func (w *walker) outOfReach(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || w.survey != nil && err != nil && !IsGone(err)
}

// useless notes lists that name what is gone: who refers to a list takes it for whole.
func (w *walker) useless(lists []chunk.ID) {
	if w.survey == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range lists {
		w.survey.Broken[id] = true
	}
}

// damaged tells of an entry of which chunks are gone; what is known of all of them was told before. Of an archive that does not count all that is new is told at once.
func (w *walker) damaged(at string, known bool, chunks []chunk.ID, err error) {
	if err == nil {
		err = cmp.Or(w.r.UnreadIndexes(), err) // of what could not be looked at nobody knows what it names
	}
	if errors.Is(err, store.ErrUnread) {
		w.found(Finding{What: Unread, Archive: w.archive, Path: at, Err: err})
		return
	}
	if !w.counts {
		if !known {
			w.lacks++
		}
		return
	}
	what := Damaged
	if known {
		what = Lost
	}
	w.found(Finding{What: what, Archive: w.archive, Path: at, Err: err, Chunks: chunks})
}

// tree checks a tree of the directory at a path, and what is below, and reports whether all is whole. The tree at "" holds the root alone.
func (w *walker) tree(id chunk.ID, at string) (whole bool, err error) {
	if _, ok := w.whole[id.Key()]; ok {
		return true, nil
	}
	if _, told := w.broken[id.Key()]; told { // it is one directory at two paths, or somebody means to keep us busy
		return false, nil
	}
	encoded, err := w.rd.Metadata(w.ctx, id)
	if w.ctx.Err() != nil {
		return false, w.ctx.Err()
	}
	if w.outOfReach(err) {
		return false, err
	}
	var nodes []tree.Node
	if err == nil {
		nodes, err = tree.Decode(encoded)
	}
	if err != nil {
		name := path.Join("/", at)
		w.damaged(name, w.lose(Piece{ID: id, Path: name, Offset: -1}, false, err), []chunk.ID{id}, err)
		w.told(id)
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
	if !whole {
		w.told(id)
	} else if len(w.whole) < treesKept {
		w.whole[id.Key()] = struct{}{}
	}
	return whole, nil
}

func (w *walker) told(id chunk.ID) {
	if len(w.broken) < treesKept {
		w.broken[id.Key()] = struct{}{}
	}
}

func (w *walker) node(n *tree.Node, at string) (whole bool, err error) {
	name := path.Join(at, n.Name)
	if at == "" {
		name = "/"
	}
	var missing, named []chunk.ID // named: its lists
	whole, known := true, true
	var foreign error
	lose := func(p Piece, content bool, err error) {
		if missing = append(missing, p.ID); errors.Is(err, repo.ErrForeign) {
			foreign = fmt.Errorf("chunk %v: %w", p.ID, err)
		}
		known = w.lose(p, content, err) && known
	}
	try := func(p Piece) error {
		ok, err := w.chunk(p)
		if !ok && err == nil {
			whole = false
			lose(p, true, w.rd.Absent(w.ctx, p.ID))
		}
		return err
	}
	entered := map[wholeList]struct{}{}
	enter := func(l wholeList) bool {
		if _, ok := w.wholeLists[l]; ok {
			return false
		}
		_, again := entered[l]
		entered[l] = struct{}{}
		return !again
	}
	get := func(id chunk.ID) ([]byte, error) {
		named = append(named, id)
		list, err := w.rd.Metadata(w.ctx, id)
		if err != nil && !w.outOfReach(err) && w.ctx.Err() == nil {
			lose(Piece{ID: id, Path: name, Offset: -1}, false, err)
		}
		return list, err
	}
	offset := int64(0)
	lists := func(l tree.List, length int64) bool {
		ok := enter(wholeList{l, n.IsDir()})
		if !ok {
			offset += length
		}
		return ok
	}
	err = tree.WalkNew(n.Contents, get, lists, func(item tree.Item) error {
		start := offset
		offset += item.Length
		switch {
		case item.Hole:
			return nil
		case n.IsDir():
			ok, err := w.tree(item.ID, name)
			whole = whole && ok
			return err
		}
		return try(Piece{item.ID, name, start, item.Length})
	})
	if err == nil && n.XattrContents != nil {
		lists := func(l tree.List, _ int64) bool { return enter(wholeList{l, false}) }
		err = tree.WalkNew(*n.XattrContents, get, lists, func(item tree.Item) error { return try(Piece{item.ID, name, -1, item.Length}) })
	}
	if n.IsRegular() {
		w.sum.Files++
	}
	if w.ctx.Err() != nil {
		return false, w.ctx.Err()
	}
	if len(missing) == 0 && w.outOfReach(err) {
		return false, err
	}
	if err != nil || !whole && len(missing) > 0 {
		if err == nil {
			err = foreign
		}
		w.damaged(name, known && len(missing) > 0, missing, err)
		w.useless(named)
		whole = false
	}
	for l := range entered {
		if whole && len(w.wholeLists) < treesKept {
			w.wholeLists[l] = struct{}{}
		}
	}
	return whole, nil
}

// chunk reports whether a chunk can be had from anywhere, as itself or by a recipe.
func (w *walker) chunk(p Piece) (bool, error) {
	ok, err := w.wholeChunk(p.ID)
	if ok || err != nil {
		return ok, err
	}
	if _, ok := w.made[p.ID.Key()]; ok {
		return true, nil
	}
	recipes, err := w.rd.Sources(w.ctx, p.ID)
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
			return true, w.make(p)
		}
	}
	return false, nil
}

// make notes that a recipe is there with all its sources. If content can be opened, it is tried.
func (w *walker) make(p Piece) error {
	if len(w.made) < chunksKept {
		w.made[p.ID.Key()] = struct{}{}
	}
	if !w.sum.Opened {
		return nil
	}
	w.untried = append(w.untried, p)
	if len(w.untried) < triedAtOnce {
		return nil
	}
	return w.try()
}

// try puts chunks together and compares them with their keyed hashes.
func (w *walker) try() error {
	pieces := w.untried
	w.untried = nil
	ids := make([]chunk.ID, len(pieces))
	for i, p := range pieces {
		ids[i] = p.ID
	}
	return w.rd.Fetch(w.ctx, ids, func(i int, _ []byte, err error) error {
		if w.outOfReach(err) {
			return err
		}
		if err != nil {
			w.damaged(pieces[i].Path, w.lose(pieces[i], true, err), ids[i:i+1], err)
			if w.survey != nil && w.survey.Gone[ids[i]] != nil {
				w.survey.Gone[ids[i]].Made = true
			}
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
		if !w.bad[at.Pack.ID].spoilt(at.Frame) && !w.wrong[at.Pack.Layout] {
			return true, nil
		}
	}
	return false, nil
}
