package mirror

import (
	"context"
	"errors"
	"fmt"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

const (
	chunksAnIndex = 250_000
	treesKept     = 1 << 22
)

// Archives copies some archives and what they need. home has the metadata key, and signs as a host or the root: index objects at home name packs that are not in such a copy, so new
// ones are made of those that are. They are for readers alone: trees and recipes in those packs may lean on what is not there, and no backup may build on them.
func (m *Mirror) Archives(ctx context.Context, home *repo.Repository, which []repo.Archive) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	need, err := m.needs(ctx, home, which)
	if err != nil {
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
		if err := m.kind(ctx, kind, need.has, nil); err != nil {
			return err
		}
	}
	for _, kind := range []string{"verified", "forget", "lost"} {
		if err := m.kind(ctx, kind, nil, nil); err != nil {
			return err
		}
	}
	if err := m.explained(ctx); err != nil {
		return err
	}
	if err := m.index(ctx, home, which, need); err != nil {
		return err
	}
	if err := m.kind(ctx, "archive", chosen.has, chosen); err != nil {
		return err
	}
	return m.explained(ctx)
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
	w := walker{ctx: ctx, there: there, need: idSet{}}
	circles := map[string]visited{}
	for i := range which {
		circle := home.Circle(&which[i])
		if _, ok := circles[circle.Key()]; !ok {
			circles[circle.Key()] = visited{map[chunk.Key]struct{}{}, [2]func(tree.List, int64) bool{tree.Once(), tree.Once()}}
		}
		w.rd, w.visited = rd.For(repo.Of(circle)), circles[circle.Key()]
		if err := w.tree(which[i].Root.ID); err != nil {
			return nil, fmt.Errorf("look what archive %s needs: %w", which[i].ID, err)
		}
	}
	return w.need, nil
}

type walker struct {
	ctx         context.Context
	rd          *repo.Reader // of what an archive may be made of
	visited                  // by that Reader
	there, need idSet
}

type visited struct {
	seen  map[chunk.Key]struct{}         // trees
	lists [2]func(tree.List, int64) bool // enter each list once: of chunks, of trees
}

func (v *visited) enter(trees bool) func(tree.List, int64) bool {
	if trees {
		return v.lists[1]
	}
	return v.lists[0]
}

func (w *walker) places(id chunk.ID, kind pack.Kind) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
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
		err := tree.WalkNew(n.Contents, w.metadata, w.enter(n.IsDir()), func(item tree.Item) error {
			switch {
			case item.Hole:
				return nil
			case n.IsDir():
				return w.tree(item.ID)
			}
			return w.places(item.ID, pack.Content)
		})
		if err == nil && n.XattrContents != nil {
			err = tree.WalkNew(*n.XattrContents, w.metadata, w.enter(false), func(item tree.Item) error { return w.places(item.ID, pack.Content) })
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

// eachPack calls f for each pack that a repository's index objects name.
func eachPack(ctx context.Context, r *repo.Repository, f func(p *index.Pack) error) error {
	return r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if errors.Is(x.Err, store.ErrUnread) {
			return x.Err
		}
		for _, run := range x.Object.Runs { // none, if it cannot be read
			for i := range run.Packs {
				if err := f(&run.Packs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// index makes index objects of the packs that are in the copy: of all that is said of them, and in none there, by those of whose chunks the archives may be made.
// Content comes first, since metadata leans on it.
func (m *Mirror) index(ctx context.Context, home *repo.Repository, which []repo.Archive, need idSet) error {
	if m.o.DryRun {
		return nil
	}
	place, err := home.In(ctx, m.to)
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	known := map[index.Layout]struct{}{}
	layout := func(p *index.Pack) index.Layout { return p.Info(index.Origin{Owner: p.Directory.Owner}).Layout }
	err = eachPack(ctx, place, func(p *index.Pack) error {
		known[layout(p)] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	circles := map[string]keyring.Circle{}
	for i := range which {
		c := home.Circle(&which[i])
		circles[c.Key()] = c
	}
	ours := func(owner string) bool {
		for _, c := range circles {
			if c.Has(owner) {
				return true
			}
		}
		return false
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
			_, err := place.AddReadersIndex(ctx, &index.Object{Runs: index.RunsOf(packs)})
			packs, chunks = nil, 0
			return err
		}
		err = eachPack(ctx, home, func(p *index.Pack) error {
			if !there.has(p.ID) || !need.has(p.ID) || !ours(p.Directory.Owner) {
				return nil
			}
			if _, ok := known[layout(p)]; ok {
				return nil
			}
			known[layout(p)] = struct{}{}
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
