package save

import (
	"sync"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// Has reports whether this run may use a chunk of content that is stored, by somebody whom it trusts, and records the use.
func (w *Writer) Has(id chunk.ID) (bool, error) {
	return w.refer(id.Key(), pack.WholeContent, pack.RecipeFor+pack.WholeContent)
}

// Holds is Has for all that contents of a file name. Of files of more than a few hundred chunks these are lists, and a list
// that may be referred to is complete.
func (w *Writer) Holds(c tree.Contents) (bool, error) { return w.holds(c, pack.WholeContent) }

// HoldsFolder is Has for all that is below a folder, by its contents alone: prune's lists name the trees that lean on what
// they name. Those of repair do not: as long as one says that something is lost, no folder counts as held.
func (w *Writer) HoldsFolder(c tree.Contents) (bool, error) {
	if w.view.Damaged() {
		return false, nil
	}
	return w.holds(c, pack.WholeTree)
}

func (w *Writer) holds(c tree.Contents, whole pack.Type) (bool, error) {
	if c.Level > 0 {
		whole = pack.WholeList
	}
	for _, item := range c.Items {
		if item.Hole {
			continue
		}
		if ok, err := w.refer(item.ID.Key(), whole, pack.RecipeFor+whole); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// refer reports whether this run may use a chunk, tree or list that is stored in one of the forms, and records the use.
func (w *Writer) refer(key chunk.Key, forms ...pack.Type) (bool, error) {
	if err := w.tick(); err != nil {
		return false, err
	}
	return w.view.Refer(key, forms...)
}

// tick looks after the view of a run that stores nothing for long.
func (w *Writer) tick() error {
	if !w.view.Due() {
		return nil
	}
	_, renewed, err := w.view.Current(w.run.work)
	if err == nil && renewed {
		err = w.putIndex(w.run.work, nil)
	}
	if err != nil {
		w.run.fail(err)
	}
	return err
}

// claim reports whether a piece is stored, or on its way; if not, it is the caller's to save. Recipes copy out of whole
// chunks: so a recipe for a literal does not count.
func (w *Writer) claim(p *piece) (known bool, err error) {
	key := p.id.Key()
	if p.literal {
		known, err = w.refer(key, p.typ)
	} else if known = w.claims.has(key); !known {
		known, err = w.refer(key, p.typ, pack.RecipeFor+p.typ)
	}
	if known || err != nil {
		return known, err
	}
	return !w.claims.take(key, p.literal), nil
}

// claims are what is on its way and in no index object yet, so that nobody else saves it. They are safe for concurrent use.
type claims struct {
	mu  sync.Mutex
	all map[chunk.Key]bool // true: as itself
}

func (c *claims) has(key chunk.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, claimed := c.all[key]
	return claimed
}

// take reports whether a chunk is the caller's to save: if nobody has claimed it, or if it is to be whole and nobody saves it
// whole. Whoever claimed it before leaves that to the caller.
func (c *claims) take(key chunk.Key, whole bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, claimed := c.all[key]
	if claimed && (before || !whole) {
		return false
	}
	c.all[key] = whole
	return true
}

// drop lets go of what is indexed.
func (c *claims) drop(packs []index.Pack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range packs {
		for _, f := range p.Directory.Frames {
			for _, b := range f.Blobs {
				delete(c.all, b.Key)
			}
		}
	}
}
