package save

import (
	"sync"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// Has reports whether a chunk of content is stored, by somebody whom this run trusts, where this run may refer to it; if so, it is taken to.
func (w *Writer) Has(id chunk.ID) (bool, error) { return w.has(id.Key(), pack.WholeContent) }

// Holds is Has for all that contents of a file name: of those of more than a few hundred chunks these are lists, and a list that may be referred to
// is complete.
func (w *Writer) Holds(c tree.Contents) (bool, error) {
	whole := pack.WholeContent
	if c.Level > 0 {
		whole = pack.WholeList
	}
	for _, item := range c.Items {
		if item.Hole {
			continue
		}
		if ok, err := w.has(item.ID.Key(), whole); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// has reports whether a chunk is stored in either form, where this run may refer to it; if so, it is taken to.
func (w *Writer) has(key chunk.Key, whole pack.Type) (bool, error) {
	return w.refer(key, whole, pack.RecipeFor+whole)
}

// refer is has for the forms given.
func (w *Writer) refer(key chunk.Key, forms ...pack.Type) (bool, error) {
	if err := w.tick(); err != nil {
		return false, err
	}
	return w.run.Refer(key, forms...)
}

// tick looks after the view of a run that stores nothing for long.
func (w *Writer) tick() error {
	if !w.run.Due() {
		return nil
	}
	_, renewed, err := w.run.Current(w.ctx)
	if err == nil && renewed {
		err = w.putIndex(w.ctx, nil)
	}
	if err != nil {
		w.fail(err)
	}
	return err
}

// known reports whether a chunk is stored, whole or as a recipe, or on its way; if not, it is the caller's to save.
func (w *Writer) known(key chunk.Key, whole pack.Type) (bool, error) {
	if w.claims.has(key) {
		return true, nil
	}
	if known, err := w.has(key, whole); known || err != nil {
		return known, err
	}
	return !w.claims.take(key), nil
}

// knownWhole is known for what recipes lean on: a recipe of it will not do.
func (w *Writer) knownWhole(key chunk.Key, whole pack.Type) (bool, error) {
	if ok, err := w.refer(key, whole); ok || err != nil {
		return ok, err
	}
	return !w.claims.takeWhole(key), nil
}

// claims are what is on its way and in no index object yet, so that nobody else saves it.
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

// take reports whether nobody had claimed a chunk: then it is the caller's to save.
func (c *claims) take(key chunk.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, claimed := c.all[key]; claimed {
		return false
	}
	c.all[key] = false
	return true
}

// takeWhole is take for a chunk that is going to be stored as itself: whoever claimed it otherwise has left that to the caller.
func (c *claims) takeWhole(key chunk.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := c.all[key]
	c.all[key] = true
	return !whole
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
