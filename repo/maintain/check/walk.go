package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
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
				c.whole.Clear()
				clear(c.made)
			}
			for _, a := range groups[key] {
				walk := c.walkNow
				if c.survey != nil { // which looks again at all of it
					walk = func(ctx context.Context, a *repo.Archive) error { return c.walkOne(ctx, a, &attempt{c: c, sure: true}) }
				}
				if err := walk(ctx, a); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *checker) walkOne(ctx context.Context, a *repo.Archive, t *attempt) error {
	c.sum.Archives++
	w := walker{checker: c, ctx: ctx, attempt: t, rd: c.rd.For(repo.Of(c.r.Circle(a))), archive: a.ID, host: a.Host, counts: a.Counts(), broken: map[chunk.Key]struct{}{}}
	w.through = walk.Walk{Get: w.get, Enter: w.enter, Node: w.node, Chunk: w.piece, Left: w.left, Leave: w.leave, Failed: w.failed}
	w.entries = []entry{{}} // in which the root's tree is
	if err := w.through.Root(a.Root.ID, a.Root.Length); err != nil {
		return err
	}
	if err := w.try(); err != nil {
		return err
	}
	if w.lacks > 0 {
		err := fmt.Errorf("it was stored too late to count, so prune keeps nothing for it: files and folders that are not whole: %d", w.lacks)
		t.add(Finding{What: Uncounted, Archive: a.ID, Path: "/", Err: err})
	}
	return nil
}

// A walker goes through one archive.
type walker struct {
	*checker
	ctx     context.Context
	rd      *repo.Reader // of what the archive may be made of
	attempt *attempt
	archive string
	host    string // of it
	counts  bool
	lacks   int                    // entries of which chunks are gone, if it does not count
	untried []Piece                // with recipes that are to be made
	broken  map[chunk.Key]struct{} // trees below which something is wrong, and was told

	through walk.Walk
	entries []entry // on the way down
	trees   []bool  // on the way down: whether they are whole so far
	unread  error   // why the last tree or list was not read
}

// An entry is one that is being looked at.
type entry struct {
	spoilt  bool // not all is whole
	unknown bool // of something that is gone nobody knew that
	missing []chunk.ID
	foreign error // of what is missing
	path    string
	lists   []walk.Use // that were entered
	entered walk.Seen
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
func (w *walker) useless(lists []walk.Use) {
	if w.survey == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range lists {
		w.survey.Broken[u.ID] = true
	}
}

// damaged tells of an entry of which chunks are gone; what is known of all of them was told before. Of an archive that does not count all that is new is told at once.
func (w *walker) damaged(at string, known bool, chunks []chunk.ID, err error) {
	if err == nil {
		err = cmp.Or(w.r.UnreadIndexes(), err) // of what could not be looked at nobody knows what it names
	}
	if errors.Is(err, store.ErrUnread) {
		w.attempt.add(Finding{What: Unread, Archive: w.archive, Path: at, Err: err})
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
	w.attempt.add(Finding{What: what, Archive: w.archive, Path: at, Err: err, Chunks: chunks})
}

func (w *walker) get(id chunk.ID) (data []byte, err error) {
	data, w.unread = w.rd.Metadata(w.ctx, id)
	return data, w.unread
}

func (w *walker) top() *entry { return &w.entries[len(w.entries)-1] }

// at returns the path of the entry that is looked at. Only of files it is kept: folders may be deep.
func (w *walker) at() string {
	if len(w.entries) == 1 {
		return "/"
	}
	return cmp.Or(w.top().path, w.through.Path())
}

// enter passes over what is known to be whole, and what was told to be broken: it is one directory at two paths, or somebody means to keep us busy.
func (w *walker) enter(u walk.Use, _ int64) (bool, error) {
	if w.whole.Has(u) {
		return false, w.ctx.Err()
	}
	e := w.top()
	if u.Kind == walk.List {
		if !e.entered.Add(u) {
			return false, nil
		}
		e.lists = append(e.lists, u)
		return true, nil
	}
	if _, told := w.broken[u.ID.Key()]; told {
		e.spoilt = true
		return false, nil
	}
	w.trees = append(w.trees, true)
	return true, nil
}

// failed tells of a tree that cannot be had. Of a list its entry tells.
func (w *walker) failed(u walk.Use, err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if u.Kind == walk.List {
		if w.unread != nil && !w.outOfReach(err) {
			w.miss(Piece{ID: u.ID, Path: w.at(), Offset: -1}, false, err)
		}
		return err
	}
	w.trees = w.trees[:len(w.trees)-1]
	if w.outOfReach(err) {
		return err
	}
	name := w.at()
	w.damaged(name, w.lose(Piece{ID: u.ID, Path: name, Offset: -1}, false, err), []chunk.ID{u.ID}, err)
	w.told(u.ID)
	w.top().spoilt = true
	return nil
}

// leave notes whether a tree was whole.
func (w *walker) leave(u walk.Use, err error) error {
	if u.Kind == walk.List {
		return err
	}
	last := len(w.trees) - 1
	whole := w.trees[last] && err == nil
	w.trees = w.trees[:last]
	w.sum.Trees++
	if whole {
		w.whole.Add(u)
		return nil
	}
	w.told(u.ID)
	w.top().spoilt = true
	return err
}

func (w *walker) told(id chunk.ID) {
	if len(w.broken) < brokenKept {
		w.broken[id.Key()] = struct{}{}
	}
}

func (w *walker) node(n *tree.Node) error {
	e := entry{}
	if !n.IsDir() {
		e.path = w.through.Path()
	}
	w.entries = append(w.entries, e)
	return nil
}

// miss notes that the entry lacks something.
func (w *walker) miss(p Piece, content bool, err error) {
	e := w.top()
	if e.missing = append(e.missing, p.ID); errors.Is(err, repo.ErrForeign) {
		e.foreign = fmt.Errorf("chunk %v: %w", p.ID, err)
	}
	known := w.lose(p, content, err)
	e.unknown = e.unknown || !known
}

// piece looks for a chunk of the entry.
func (w *walker) piece(item tree.Item, offset int64) error {
	p := Piece{item.ID, w.at(), offset, item.Length}
	ok, err := w.chunk(p)
	if !ok && err == nil {
		w.top().spoilt = true
		w.miss(p, true, w.rd.Absent(w.ctx, p.ID))
	}
	return err
}

// left tells of an entry that is not whole.
func (w *walker) left(n *tree.Node, err error) error {
	name, e := w.at(), *w.top()
	w.entries = w.entries[:len(w.entries)-1]
	if n.IsRegular() {
		w.sum.Files++
	}
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if len(e.missing) == 0 && w.outOfReach(err) {
		return err
	}
	if err != nil || len(e.missing) > 0 {
		if err == nil {
			err = e.foreign
		}
		w.damaged(name, !e.unknown && len(e.missing) > 0, e.missing, err)
		w.useless(e.lists)
		e.spoilt = true
	}
	if e.spoilt {
		w.trees[len(w.trees)-1] = false
		return nil
	}
	for _, u := range e.lists {
		w.whole.Add(u)
	}
	return nil
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
