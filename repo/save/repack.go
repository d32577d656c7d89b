package save

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// ErrOtherOwner says that a pack is not of the host for which its content was to be kept.
var ErrOtherOwner = fmt.Errorf("it is a pack of another host: %w", crypto.ErrIntegrity)

// A Repacker writes blobs of packs into new packs, as the root. Every host takes the root's word: so it tries what it copies.
// It is for one goroutine.
type Repacker struct {
	ctx context.Context
	w   *Writer
	s   *Saver
	rd  *repo.Reader
}

// Repack runs f with a Repacker of packs of a host. When it returns, the new packs are stored and indexed, as those of a run
// that began at a store time, and kept for that host. It takes OpenContent. After an error what was sent may or may not be
// indexed.
func Repack(ctx context.Context, r *repo.Repository, owner string, begin time.Time, sent *Sent, f func(*Repacker) error) error {
	root := r.Root()
	if root == nil {
		return errors.New("repack: it takes a recovery key")
	}
	w := &Writer{Sent: sent, r: r, self: owner, begin: begin, root: true, view: r.View().Begin(begin, nil), reader: r.Reader()}
	defer w.view.Close()
	w.run = newRun(ctx)
	defer w.run.end()
	w.unindexed.last = r.Options().Now()
	if err := w.open(root); err != nil {
		return err
	}
	s, err := w.NewSaver()
	if err != nil {
		return err
	}
	rd := w.reader.For(repo.Of(r.Keys().Circle(owner, time.Time{})))
	if err := w.run.do(func(ctx context.Context) error { return f(&Repacker{ctx, w, s, rd}) }); err != nil {
		w.run.fail(err)
		_ = w.packs.Wait() // for the same reason
		return err
	}
	if err := w.complete(); err != nil {
		w.salvage()
		return err
	}
	return nil
}

// Pack writes what keep accepts of a stored pack. A recipe of a tree becomes what it makes. ErrIntegrity says that something
// in the pack is not what it should be: then some of it may have been written.
func (p *Repacker) Pack(info store.Info, keep func(pack.Blob) bool) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	entry, plain, err := p.w.r.ReadPack(p.ctx, info)
	if err == nil && entry.Directory.Owner != p.w.self {
		err = ErrOtherOwner
	}
	if err != nil {
		return fmt.Errorf("repack %s: %w", info.Name, err)
	}
	for _, f := range entry.Directory.Frames {
		if err := p.frame(entry.Directory.Kind, plain[:f.Stored], f, keep); err != nil {
			return fmt.Errorf("repack %s: %w", info.Name, err)
		}
		plain = plain[f.Stored:]
	}
	return nil
}

// Frames writes what keep accepts of those frames of a stored pack that are as its index says, though the pack is not. What
// cannot be made of it any more is left out.
func (p *Repacker) Frames(object []byte, x *index.Pack, keep func(pack.Blob) (bool, error)) error {
	return p.rd.Blobs(object, x, func(b pack.Blob, data []byte) error {
		ok, err := keep(b)
		if ok && err == nil {
			err = p.blob(b, data)
		}
		if errors.Is(err, crypto.ErrIntegrity) && !errors.Is(err, repo.ErrUnavailable) {
			return nil
		}
		return err
	})
}

// Again writes a chunk of content.
func (p *Repacker) Again(data []byte) error { return p.s.Again(data) }

func (p *Repacker) frame(kind pack.Kind, stored []byte, f pack.Frame, keep func(pack.Blob) bool) error {
	kept := make([]bool, len(f.Blobs))
	n := 0
	for i, b := range f.Blobs {
		if kept[i] = keep(b); kept[i] {
			n++
		}
	}
	switch {
	case n == 0:
		return nil
	case n == len(f.Blobs) && kind == pack.Content:
		return p.w.packs.Add(kind, stored, f)
	}
	data, err := p.w.r.Decompress(nil, stored, f.Plain)
	if err != nil {
		return err
	}
	for i, b := range f.Blobs {
		if kept[i] {
			if err := p.blob(b, data[:b.Length]); err != nil {
				return fmt.Errorf("chunk %x: %w", b.Key, err)
			}
		}
		data = data[b.Length:]
	}
	return nil
}

// blob writes one blob. Wholes were compared with their keyed hashes when the pack was opened; all else is tried.
func (p *Repacker) blob(b pack.Blob, data []byte) error {
	switch b.Type {
	case pack.WholeContent:
		return p.s.frames.Content(pack.ClassOf(data), data, b)
	case pack.RecipeFor + pack.WholeContent:
		if err := p.try(b.Key, data); err != nil {
			return err
		}
	case pack.RecipeFor + pack.WholeTree:
		b.Type -= pack.RecipeFor
		r, err := delta.DecodeRecipe(data)
		if err == nil {
			data, err = p.rd.Make(p.ctx, b.Key, r, b.Type)
		}
		if err != nil {
			return err
		}
		b.Length = len(data)
	case pack.SignatureOf + pack.WholeContent:
		if ok, err := p.signs(b.Key, data); !ok || err != nil {
			return err
		}
	}
	return p.s.frames.Metadata(data, b)
}

// try makes a chunk of content by a recipe.
func (p *Repacker) try(key chunk.Key, encoded []byte) error {
	r, err := delta.DecodeRecipe(encoded)
	if err != nil {
		return fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return p.rd.Try(p.ctx, key, r)
}

// signs reports whether a block signature is that of the chunk. A wrong one is left out: that costs space only.
func (p *Repacker) signs(key chunk.Key, encoded []byte) (bool, error) {
	old, err := delta.DecodeSignature(encoded)
	if err != nil {
		return false, nil
	}
	same := false
	err = p.rd.Whole(p.ctx, key, func(data []byte, err error) error {
		if err == nil && old.Length() == len(data) {
			id := p.s.content.ID(data)
			same = id.Key() == key && bytes.Equal(p.s.encoder.signer.Sign(id, data, old.Block(), old.Runs()).Append(nil), encoded)
		}
		if errors.Is(err, repo.ErrUnavailable) {
			return err
		}
		return nil
	})
	return same, err
}
