package check

import (
	"context"
	"errors"
	"fmt"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/tree"
)

// Proof tells what a recovery key was seen to open.
type Proof struct {
	Archive        *repo.Archive // the newest; nil: there is none yet
	Folders, Files int
	Packs          int // of content, whose session keys were opened
}

// ProveKey proves that the recovery key with which the repository was opened would restore the newest archive: it opens the archive, all its folders, and the session key of
// every pack that holds what its files need. No content is read. The error is for the first thing that does not open;
// damaged is told of archives that cannot be read.
func ProveKey(ctx context.Context, r *repo.Repository, damaged func(name string, err error)) (Proof, error) {
	var p Proof
	all, err := r.Archives(ctx, damaged)
	if err != nil {
		return p, err
	}
	p.Archive, err = repo.Find(all, "latest")
	if errors.Is(err, repo.ErrNoArchive) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	rd, err := r.NewReaderFor(ctx, p.Archive)
	if err != nil {
		return p, err
	}
	w := prover{ctx: ctx, r: r, rd: rd, proof: &p, seen: map[chunk.Key]struct{}{}, lists: map[wholeList]struct{}{}, packs: map[index.ObjectID]struct{}{}}
	return p, w.tree(p.Archive.Root.ID)
}

// A prover goes through one archive.
type prover struct {
	ctx   context.Context
	r     *repo.Repository
	rd    *repo.Reader
	proof *Proof
	seen  map[chunk.Key]struct{} // trees and chunks
	lists map[wholeList]struct{}
	packs map[index.ObjectID]struct{}
}

func (w *prover) first(id chunk.ID) bool {
	if _, seen := w.seen[id.Key()]; seen {
		return false
	}
	if len(w.seen) < treesKept {
		w.seen[id.Key()] = struct{}{}
	}
	return true
}

func (w *prover) tree(id chunk.ID) error {
	if !w.first(id) {
		return nil
	}
	encoded, err := w.rd.Metadata(w.ctx, id)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	nodes, err := tree.Decode(encoded)
	if err != nil {
		return fmt.Errorf("open folder: %w: %w", err, crypto.ErrIntegrity)
	}
	w.proof.Folders++
	lists := w.rd.Fetcher(w.ctx)
	for i := range nodes {
		n := &nodes[i]
		if n.IsRegular() {
			w.proof.Files++
		}
		enter := func(trees bool) func(tree.List, int64) bool {
			return func(l tree.List, _ int64) bool {
				_, entered := w.lists[wholeList{l, trees}]
				w.lists[wholeList{l, trees}] = struct{}{}
				return !entered
			}
		}
		err := tree.WalkNew(n.Contents, lists, enter(n.IsDir()), func(item tree.Item) error {
			switch {
			case item.Hole:
				return nil
			case n.IsDir():
				return w.tree(item.ID)
			}
			return w.chunk(item.ID)
		})
		if err == nil && n.XattrContents != nil {
			err = tree.WalkNew(*n.XattrContents, lists, enter(false), func(item tree.Item) error { return w.chunk(item.ID) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chunk proves that a chunk can be had: as itself or by a recipe.
func (w *prover) chunk(id chunk.ID) error {
	if !w.first(id) {
		return nil
	}
	failed := w.opens(id)
	if failed == nil {
		return nil
	}
	recipes, err := w.rd.Sources(w.ctx, id)
	if err != nil {
		return err
	}
	for _, sources := range recipes {
		failed = nil
		for i := 0; failed == nil && i < len(sources); i++ {
			failed = w.opens(sources[i])
		}
		if failed == nil {
			return nil
		}
	}
	return failed
}

// opens opens the session key of a pack that holds a chunk as itself.
func (w *prover) opens(id chunk.ID) error {
	locations, err := w.rd.Locations(w.ctx, id)
	if err != nil {
		return err
	}
	err = fmt.Errorf("find chunk %v: %w", id, w.rd.Absent(w.ctx, id))
	for _, at := range locations {
		if _, done := w.packs[at.Pack.ID]; done {
			return nil
		}
		if err = w.r.TrySession(at.Pack); err == nil {
			w.packs[at.Pack.ID] = struct{}{}
			w.proof.Packs++
			return nil
		}
		err = fmt.Errorf("open %s: %w", sealed.PackName(at.Pack.Kind, at.Pack.ID), err)
	}
	return err
}
