package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// ErrForeign says that packs are needed that other hosts have indexed, for which this host cannot sign.
var ErrForeign = errors.New("other hosts have indexed packs that are needed")

const (
	chunksAnIndex = 250_000
	treesKept     = 1 << 22
)

// Archives copies some archives and what they need. home has the metadata key, and signs: index objects at home name packs that are not in such a copy, which
// would deceive a backup into it, so new ones are made of those that are. As the root, home signs for all packs, as a host only for what the host or the root has indexed.
func (m *Mirror) Archives(ctx context.Context, home *repo.Repository, which []repo.Archive) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	need, err := m.needs(ctx, home, which)
	if err != nil {
		return err
	}
	if err := m.maySign(ctx, home, need); err != nil {
		return err
	}
	chosen := idSet{}
	for i := range which {
		id, err := index.ParseObjectID(which[i].ID)
		if err != nil {
			return fmt.Errorf("copy archive %s: %w", which[i].ID, err)
		}
		chosen[id] = struct{}{}
	}
	for _, kind := range packKinds {
		if err := m.kind(ctx, kind, need.has); err != nil {
			return err
		}
	}
	for _, kind := range []string{"verified", "forget", "lost"} {
		if err := m.kind(ctx, kind, nil); err != nil {
			return err
		}
	}
	if err := m.index(ctx, home, need); err != nil {
		return err
	}
	return m.kind(ctx, "archive", chosen.has)
}

// needs returns the packs from which archives can be restored. All that they hold must be there.
func (m *Mirror) needs(ctx context.Context, home *repo.Repository, which []repo.Archive) (idSet, error) {
	rd, err := home.NewReader(ctx)
	if err != nil {
		return nil, err
	}
	there, err := ids(ctx, m.from, packKinds...)
	if err != nil {
		return nil, err
	}
	w := walker{ctx: ctx, rd: rd, seen: map[chunk.Key]struct{}{}, there: there, need: idSet{}}
	for i := range which {
		if err := w.tree(which[i].Root.ID); err != nil {
			return nil, fmt.Errorf("look what archive %s needs: %w", which[i].ID, err)
		}
	}
	return w.need, nil
}

type walker struct {
	ctx         context.Context
	rd          *repo.Reader
	seen        map[chunk.Key]struct{} // trees
	there, need idSet
}

func (w *walker) places(id chunk.ID, kind pack.Kind) error {
	packs, err := w.rd.Places(w.ctx, id, kind, w.there.has)
	for _, id := range packs {
		w.need[id] = struct{}{}
	}
	return err
}

func (w *walker) metadata(id chunk.ID) ([]byte, error) {
	if err := w.places(id, pack.Metadata); err != nil {
		return nil, err
	}
	return w.rd.Metadata(w.ctx, id)
}

func (w *walker) tree(id chunk.ID) error {
	if _, ok := w.seen[id.Key()]; ok {
		return nil
	}
	encoded, err := w.metadata(id)
	if err != nil {
		return err
	}
	nodes, err := tree.Decode(encoded)
	if err != nil {
		return fmt.Errorf("tree %v: %w", id, err)
	}
	for i := range nodes {
		n := &nodes[i]
		err := tree.Walk(n.Contents, w.metadata, func(item tree.Item) error {
			switch {
			case item.Hole:
				return nil
			case n.IsDir():
				return w.tree(item.ID)
			}
			return w.places(item.ID, pack.Content)
		})
		if err == nil && n.XattrContents != nil {
			err = tree.Walk(*n.XattrContents, w.metadata, func(item tree.Item) error { return w.places(item.ID, pack.Content) })
		}
		if err != nil {
			return err
		}
	}
	if len(w.seen) < treesKept {
		w.seen[id.Key()] = struct{}{}
	}
	return nil
}

// maySign refuses packs that nobody has indexed whom home's signer believes.
func (m *Mirror) maySign(ctx context.Context, home *repo.Repository, need idSet) error {
	if home.Signer() == "" {
		return errors.New("copy archives: it takes the host key or a recovery key to sign an index")
	}
	unsigned := maps.Clone(need)
	err := m.eachPack(ctx, home, func(p *index.Pack) error {
		delete(unsigned, p.ID)
		return nil
	})
	if left := len(unsigned); err == nil && left > 0 {
		err = fmt.Errorf("copy archives: %w: %d", ErrForeign, left)
	}
	return err
}

// eachPack calls f for each pack in home's index objects of signers that home's own signer believes.
func (m *Mirror) eachPack(ctx context.Context, home *repo.Repository, f func(p *index.Pack) error) error {
	me := home.Signer()
	root := m.keys.Follows(me)
	return home.Records(ctx, "index", func(x repo.Record) error {
		if errors.Is(x.Err, store.ErrUnavailable) {
			return x.Err
		}
		object, err := index.ParseObject(x.Content)
		if x.Err != nil || err != nil || !root && x.Signer != me && !m.keys.Follows(x.Signer) {
			return nil // what it names is named elsewhere, or missed
		}
		for _, run := range object.Runs {
			for i := range run.Packs {
				if err := f(&run.Packs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// index makes index objects of the packs that are in the copy and in none there. Content comes first, since metadata leans on it.
func (m *Mirror) index(ctx context.Context, home *repo.Repository, need idSet) error {
	if m.o.DryRun {
		return nil
	}
	place, err := home.In(ctx, m.to)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	known := idSet{}
	err = place.IndexObjects(ctx, func(_ store.Info, o *index.Object, err error) error {
		if errors.Is(err, store.ErrUnavailable) {
			return err
		}
		for _, run := range o.Runs {
			for i := range run.Packs {
				known[run.Packs[i].ID] = struct{}{}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, kind := range packKinds {
		there, err := ids(ctx, m.to, kind)
		if err != nil {
			return err
		}
		var packs []index.Pack
		chunks := 0
		flush := func() error {
			if len(packs) == 0 {
				return nil
			}
			_, err := place.AddIndex(ctx, &index.Object{Runs: []index.Run{{Packs: packs}}})
			packs, chunks = nil, 0
			return err
		}
		err = m.eachPack(ctx, home, func(p *index.Pack) error {
			if !there.has(p.ID) || !need.has(p.ID) || known.has(p.ID) {
				return nil
			}
			known[p.ID] = struct{}{}
			packs = append(packs, *p)
			for _, f := range p.Directory.Frames {
				chunks += len(f.Blobs)
			}
			if chunks < chunksAnIndex {
				return nil
			}
			return flush()
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
