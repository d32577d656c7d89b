package repair

import (
	"context"
	"errors"
	"fmt"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// RebuildOptions say what RebuildIndex does.
type RebuildOptions struct {
	All     bool                                // index what is indexed too
	Skipped func(info store.Info, reason error) // told of each pack that is not indexed; may be nil
}

// Rebuilt counts what RebuildIndex did.
type Rebuilt struct {
	Packs, Chunks int
	Damaged       int // packs that cannot be used
	Archived      int // packs that have to be thawed first, and those that may lean on them: of each an index that there was still counts
	Useless       int // recipes that lean on what is nowhere: no backup will build on them
	Objects       int // index objects that were written
}

const chunksAnIndex = 250_000

// RebuildIndex reads the packs that no index names, and writes indexes of them, signed by the root: so it takes a recovery key. Content comes before
// metadata. What prune has dropped of a pack that stays is named again, and stays dropped: readers and writers go by the lists first. What leans on something that is
// nowhere, as a run that died may have left it behind, is recorded as lost before an index names it.
//
// Memory: the directories of the metadata packs that it indexes.
func RebuildIndex(ctx context.Context, r *repo.Repository, o RebuildOptions) (Rebuilt, error) {
	if o.Skipped == nil {
		o.Skipped = func(store.Info, error) {}
	}
	if !r.CanReadContent() {
		return Rebuilt{}, errors.New("rebuild index: it takes a recovery key")
	}
	b, err := newRebuilder(ctx, r, o)
	if err != nil {
		return Rebuilt{}, err
	}
	err = b.content(ctx)
	if err == nil {
		err = b.metadata(ctx)
	}
	if err != nil {
		err = fmt.Errorf("rebuild index: %w", err)
	}
	return b.done, err
}

// A rebuilder makes indexes again.
type rebuilder struct {
	r      *repo.Repository
	o      RebuildOptions
	known  map[index.ObjectID]struct{} // packs that are indexed
	stored map[index.ObjectID]bool     // packs
	done   Rebuilt

	packs  []index.Pack // of the next index object
	chunks int
}

func newRebuilder(ctx context.Context, r *repo.Repository, o RebuildOptions) (*rebuilder, error) {
	b := &rebuilder{r: r, o: o, stored: map[index.ObjectID]bool{}}
	if err := r.SyncIndex(ctx); err != nil {
		return nil, err
	}
	var err error
	if !o.All {
		b.known, err = indexed(ctx, r, nil)
	}
	return b, err
}

// Unindexed calls f for each pack that RebuildIndex would read.
func Unindexed(ctx context.Context, r *repo.Repository, o RebuildOptions, f func(store.Info)) error {
	b, err := newRebuilder(ctx, r, o)
	if err != nil {
		return err
	}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		err := listPacks(ctx, r, kind, b.skip, func(info store.Info) error {
			f(info)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skip reports whether a stored pack has an index that suffices.
func (b *rebuilder) skip(id index.ObjectID) bool {
	b.stored[id] = true
	_, known := b.known[id]
	return known
}

func (b *rebuilder) content(ctx context.Context) error {
	err := b.open(ctx, pack.Content, func(_ store.Info, p *index.Pack) error { return b.add(ctx, p) })
	if err != nil {
		return err
	}
	return b.flush(ctx)
}

// metadata waits until all packs are known: what a tree leans on may be in any of them.
func (b *rebuilder) metadata(ctx context.Context) error {
	var infos []store.Info
	var packs []index.Pack
	err := b.open(ctx, pack.Metadata, func(info store.Info, p *index.Pack) error {
		infos, packs = append(infos, info), append(packs, *p)
		return nil
	})
	if err != nil || len(packs) == 0 {
		return err
	}
	rd, err := b.r.NewReaderOf(ctx, packs)
	if err != nil {
		return err
	}
	useless := losses.New(b.r.Lists(), b.stored)
	wait := map[index.ObjectID]bool{}
	for i := range packs {
		p := &packs[i]
		if err := useless.Lean(ctx, rd, p); err != nil {
			return err
		}
		if useless.Count(p.ID) == 0 {
			continue
		}
		if b.done.Archived > 0 {
			wait[p.ID] = true
			useless.Drop(p.ID)
			continue
		}
		b.done.Useless += useless.Count(p.ID)
	}
	if err := losses.Put(ctx, b.r, useless.Record()); err != nil {
		return err
	}
	for i := range packs {
		if wait[packs[i].ID] {
			b.done.Archived++
			b.o.Skipped(infos[i], fmt.Errorf("it may lean on packs that have to be thawed first: %w", store.ErrArchived))
		} else if err := b.add(ctx, &packs[i]); err != nil {
			return err
		}
	}
	return b.flush(ctx)
}

// open hands the packs of a kind to f that are not indexed and can be used.
func (b *rebuilder) open(ctx context.Context, kind pack.Kind, f func(store.Info, *index.Pack) error) error {
	return openPacks(ctx, b.r, kind, b.skip, func(info store.Info, p *index.Pack, err error) error {
		switch {
		case err == nil:
			return f(info, p)
		case errors.Is(err, store.ErrArchived):
			b.done.Archived++
		case errors.Is(err, store.ErrUnavailable):
			return err
		case errors.Is(err, repo.ErrDisowned): // it is not to be used
			return nil
		default:
			b.done.Damaged++
			if id, err := sealed.ObjectID(info.Name); err == nil {
				delete(b.stored, id)
			}
		}
		b.o.Skipped(info, err)
		return nil
	})
}

// add indexes a pack, with the next flush at the latest.
func (b *rebuilder) add(ctx context.Context, p *index.Pack) error {
	b.packs = append(b.packs, *p)
	b.done.Packs++
	for _, f := range p.Directory.Frames {
		b.done.Chunks += len(f.Blobs)
		b.chunks += len(f.Blobs)
	}
	if b.chunks < chunksAnIndex {
		return nil
	}
	return b.flush(ctx)
}

func (b *rebuilder) flush(ctx context.Context) error {
	if len(b.packs) == 0 {
		return nil
	}
	_, err := b.r.AddIndex(ctx, &index.Object{Runs: index.RunsOf(b.packs)})
	b.done.Objects++
	b.packs, b.chunks = nil, 0
	return err
}

// indexed returns the packs that indexes name, and hands each to f, if that is not nil. What a damaged or late index named is not among them.
func indexed(ctx context.Context, r *repo.Repository, f func(p *index.Pack) error) (map[index.ObjectID]struct{}, error) {
	known := map[index.ObjectID]struct{}{}
	err := r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if x.Err != nil || x.Late {
			return nil
		}
		for _, run := range x.Object.Runs {
			for i := range run.Packs {
				known[run.Packs[i].ID] = struct{}{}
				if f == nil {
					continue
				}
				if err := f(&run.Packs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return known, err
}

// listPacks hands the stored packs of a kind to f, but those to skip. What prune is about to delete is passed over.
func listPacks(ctx context.Context, r *repo.Repository, kind pack.Kind, skip func(index.ObjectID) bool, f func(store.Info) error) error {
	dropped := r.Lists()
	return r.Store().List(ctx, kind.String()+"/", func(info store.Info) error {
		id, err := sealed.ObjectID(info.Name)
		if sealed.Kind(info.Name) == "" || err != nil || dropped.Pack(id)&lists.Dropped != 0 || skip(id) {
			return nil
		}
		return f(info)
	})
}

// openPacks is listPacks with what is in each, or why it cannot be used.
func openPacks(ctx context.Context, r *repo.Repository, kind pack.Kind, skip func(index.ObjectID) bool, f func(info store.Info, p *index.Pack, err error) error) error {
	return listPacks(ctx, r, kind, skip, func(info store.Info) error {
		object, err := store.ReadAll(ctx, r.Store(), info.Name, sealed.MaxPack)
		var p *index.Pack
		if err == nil {
			p, err = r.OpenPack(ctx, info, object)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f(info, p, err)
	})
}
