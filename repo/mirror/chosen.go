package mirror

import (
	"context"
	"errors"
	"fmt"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

const chunksAnIndex = 250_000

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
	need := idSet{}
	places := func(rd *repo.Reader, id chunk.ID, kind pack.Kind) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		packs, err := rd.Places(ctx, id, kind, there.has)
		for _, id := range packs {
			need[id] = struct{}{}
		}
		return err
	}
	entered := map[string]*walk.Seen{} // by who may have made it
	for i := range which {
		circle := home.Circle(&which[i])
		if entered[circle.Key()] == nil {
			entered[circle.Key()] = new(walk.Seen)
		}
		seen, rd := entered[circle.Key()], rd.For(repo.Of(circle))
		w := walk.Walk{
			Get: rd.Fetcher(ctx),
			Enter: func(u walk.Use, _ int64) (bool, error) {
				if !seen.Add(u) {
					return false, nil
				}
				return true, places(rd, u.ID, pack.Metadata)
			},
			Chunk: func(item tree.Item, _ int64) error { return places(rd, item.ID, pack.Content) },
		}
		if err := w.Root(which[i].Root.ID, which[i].Root.Length); err != nil {
			return nil, fmt.Errorf("look what archive %s needs: %w", which[i].ID, err)
		}
	}
	return need, nil
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

// trustedBy returns a function that reports whether any of the archives may be made of an owner's chunks.
func trustedBy(home *repo.Repository, which []repo.Archive) func(owner string) bool {
	circles := map[string]keyring.Circle{}
	for i := range which {
		c := home.Circle(&which[i])
		circles[c.Key()] = c
	}
	return func(owner string) bool {
		for _, c := range circles {
			if c.Has(owner) {
				return true
			}
		}
		return false
	}
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
	known := map[lookup.Layout]struct{}{}
	layout := func(p *index.Pack) lookup.Layout {
		return lookup.InfoOf(p, lookup.Origin{Owner: p.Directory.Owner}).Layout
	}
	err = eachPack(ctx, place, func(p *index.Pack) error {
		known[layout(p)] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	ours := trustedBy(home, which)
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
