package maintain

import (
	"context"
	"errors"
	"fmt"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// RebuildOptions say what RebuildIndex does.
type RebuildOptions struct {
	All     bool                         // index what is indexed too
	Damaged func(name string, err error) // told of each pack that cannot be used; may be nil
}

// Rebuilt counts what RebuildIndex did.
type Rebuilt struct {
	Packs, Chunks, Damaged int
	Objects                int // index objects that were written
}

const chunksAnIndex = 250_000

// RebuildIndex reads the packs that no index names, and writes indexes of them, signed by the root: so it takes a recovery key. Content comes before
// metadata, and what leans on something else comes after it. What prune has dropped of a pack that stays is named again, and stays dropped: readers
// and writers go by the lists first.
func RebuildIndex(ctx context.Context, r *repo.Repository, o RebuildOptions) (Rebuilt, error) {
	var done Rebuilt
	if !r.CanReadContent() {
		return done, errors.New("rebuild index: it takes a recovery key")
	}
	if err := r.SyncIndex(ctx); err != nil {
		return done, err
	}
	known := map[index.ObjectID]struct{}{}
	if !o.All {
		var err error
		if known, err = indexed(ctx, r, nil); err != nil {
			return done, err
		}
	}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		if err := rebuildKind(ctx, r, kind, known, &o, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

func rebuildKind(ctx context.Context, r *repo.Repository, kind pack.Kind, known map[index.ObjectID]struct{}, o *RebuildOptions, done *Rebuilt) error {
	var packs []index.Pack
	chunks := 0
	flush := func() error {
		if len(packs) == 0 {
			return nil
		}
		_, err := r.AddIndex(ctx, &index.Object{Runs: []index.Run{{Packs: packs}}})
		done.Objects++
		packs, chunks = nil, 0
		return err
	}
	err := openPacks(ctx, r, kind, known, func(name string, p *index.Pack, err error) error {
		if errors.Is(err, repo.ErrDisowned) {
			return nil
		}
		if err != nil {
			done.Damaged++
			if o.Damaged != nil {
				o.Damaged(name, err)
			}
			return nil
		}
		packs = append(packs, *p)
		done.Packs++
		for _, f := range p.Directory.Frames {
			done.Chunks += len(f.Blobs)
			chunks += len(f.Blobs)
		}
		if chunks < chunksAnIndex {
			return nil
		}
		return flush()
	})
	if err != nil {
		return fmt.Errorf("index %v packs: %w", kind, err)
	}
	return flush()
}

// indexed returns the packs that indexes name, and hands each to f, if that is not nil. What a damaged or late index named is not among them.
func indexed(ctx context.Context, r *repo.Repository, f func(p *index.Pack) error) (map[index.ObjectID]struct{}, error) {
	known := map[index.ObjectID]struct{}{}
	err := r.IndexObjects(ctx, func(x repo.IndexRecord) error {
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

// openPacks opens the stored packs of a kind that are not known, and hands each to f, or why it cannot be used. What prune is about to delete is passed over.
func openPacks(ctx context.Context, r *repo.Repository, kind pack.Kind, known map[index.ObjectID]struct{}, f func(name string, p *index.Pack, err error) error) error {
	dropped := r.Lists()
	return r.Store().List(ctx, kind.String()+"/", func(info store.Info) error {
		var id index.ObjectID
		if repo.Kind(info.Name) == "" || decodeID(&id, info.Name) != nil {
			return nil
		}
		if _, ok := known[id]; ok || dropped.Pack(id)&lists.Dropped != 0 {
			return nil
		}
		object, err := store.ReadAll(ctx, r.Store(), info.Name, store.MaxObject)
		var p *index.Pack
		if err == nil {
			p, err = r.OpenPack(ctx, info, object)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f(info.Name, p, err)
	})
}
