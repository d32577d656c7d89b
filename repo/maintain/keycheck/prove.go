// Package keycheck looks into a repository for what changes of its keys have to know: that a recovery key opens the newest archive, and that nothing is
// left of a host.
//
// The invariant: what cannot be read proves nothing. The package writes nothing, and changes no keys.
package keycheck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// Proof tells what a recovery key was seen to open.
type Proof struct {
	Archive        *repo.Archive // the newest; nil: there is none yet
	Folders, Files int
	Packs          int // of content, whose session keys were opened
}

// Prove proves that the recovery key with which the repository was opened would restore the newest archive: it opens the archive, all its folders, and the session key of
// every pack that holds what its files need. No content is read. The error is for the first thing that does not open;
// damaged is told of archives that cannot be read. Archives that have says no of are passed over: those that are known to have no files prove nothing.
func Prove(ctx context.Context, r *repo.Repository, has func(*repo.Archive) bool, damaged func(name string, err error)) (Proof, error) {
	var p Proof
	all, err := r.Archives(ctx, damaged)
	if err != nil {
		return p, err
	}
	all = slices.DeleteFunc(all, func(x repo.Archive) bool { return !has(&x) })
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
	w := prover{ctx: ctx, r: r, rd: rd, proof: &p, packs: map[index.ObjectID]struct{}{}}
	return p, w.archive(p.Archive)
}

// A prover goes through one archive.
type prover struct {
	ctx   context.Context
	r     *repo.Repository
	rd    *repo.Reader
	proof *Proof
	seen  walk.Seen
	packs map[index.ObjectID]struct{}
}

func (w *prover) archive(a *repo.Archive) error {
	var unread error
	through := walk.Walk{
		Get: func(id chunk.ID) (encoded []byte, err error) {
			encoded, unread = w.rd.Metadata(w.ctx, id)
			return encoded, unread
		},
		Enter: func(u walk.Use, _ int64) (bool, error) { return w.seen.Add(u), nil },
		Node: func(n *tree.Node) error {
			if n.IsRegular() {
				w.proof.Files++
			}
			return nil
		},
		Chunk: func(item tree.Item, _ int64) error { return w.chunk(item.ID) },
		Leave: func(u walk.Use, err error) error {
			if err == nil && u.Kind == walk.Tree {
				w.proof.Folders++
			}
			return err
		},
		Failed: func(_ walk.Use, err error) error {
			if unread == nil { // it is none
				err = fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
			}
			return fmt.Errorf("open folder: %w", err)
		},
	}
	return through.Root(a.Root.ID, a.Root.Length)
}

// chunk proves that a chunk can be had: as itself or by a recipe.
func (w *prover) chunk(id chunk.ID) error {
	if !w.seen.Add(walk.Use{ID: id}) {
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
