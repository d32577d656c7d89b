package repo

import (
	"context"
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/past"
	"nightjar/repo/tree"
)

const (
	signBlock   = 512      // bytes of a block
	signFrom    = 8 << 10  // chunks from this size on have a signature, if they compress or changed before
	signLiteral = 128      // so have literals: else what changed once is sent again with every change beside it
	signatures  = 16 << 20 // bytes of old signatures that are held

	// A chunk whose sources exceed this share of its size, or this number, is stored whole again when the night can afford it.
	sourcesShare = 1.5
	sourcesMost  = 64

	// Trees are read every night, so they are put together of fewer; and what changes in one is small.
	treeBlock   = 64
	treeSources = 8
)

// A Past is what a file, or a stream, held in the archive before. It may be used by several goroutines; Close it.
type Past = past.Content

// Past returns what is known of the contents that a file had.
func (w *Writer) Past(c tree.Contents) *Past { return past.New(w.ctx, c, stored{w}) }

// stored is what past may know of the repository.
type stored struct{ *Writer }

func (w stored) List(ctx context.Context, id chunk.ID) ([]byte, error) {
	return w.reader.Metadata(ctx, id)
}

// Describe skips what is broken, or from somebody who is not trusted: that costs space.
func (w stored) Describe(ctx context.Context, id chunk.ID, length int, to *delta.Base) {
	if ok, err := w.indexed(id.Key(), pack.WholeContent); ok && err == nil {
		to.AppendWhole(delta.Source{ID: id, Length: length}, w.signature(ctx, id))
		return
	}
	r := w.recipe(ctx, id, pack.WholeContent)
	if r == nil || r.Length != length {
		to.Skip(length)
		return
	}
	sums := make([]*delta.Signature, len(r.Sources)+1)
	for n := range sums {
		if s := r.Source(n); s.Length > 0 {
			if ok, err := w.indexed(s.ID.Key(), pack.WholeContent); ok && err == nil {
				sums[n] = w.signature(ctx, s.ID)
			}
		}
	}
	to.AppendRecipe(r, sums)
}

func (w *Writer) recipe(ctx context.Context, id chunk.ID, whole pack.Type) (r *delta.Recipe) {
	w.trustedBlob(ctx, id, pack.RecipeFor+whole, func(b []byte) (err error) {
		r, err = delta.DecodeRecipe(b)
		return err
	})
	return r
}

func (w *Writer) signature(ctx context.Context, id chunk.ID) *delta.Signature {
	if s, ok := w.sums.Get(id.Key()); ok {
		return s
	}
	var s *delta.Signature
	size := 0
	w.trustedBlob(ctx, id, pack.SignatureOf+pack.WholeContent, func(b []byte) (err error) {
		size = len(b)
		s, err = delta.DecodeSignature(b)
		return err
	})
	w.sums.Put(id.Key(), s, size+64)
	return s
}

// trustedBlob hands the first blob of a type to use that it accepts.
func (w *Writer) trustedBlob(ctx context.Context, id chunk.ID, typ pack.Type, use func([]byte) error) {
	all, err := w.reader.locate(ctx, id, typ)
	if err != nil {
		return
	}
	lost := w.r.Lost()
	for _, at := range all {
		if !w.trusted(at.Pack.Signer) || lost.Blob(at.Pack.ID, id.Key(), typ) {
			continue
		}
		if frame, err := w.reader.frame(ctx, at); err == nil && use(blobIn(frame, at)) == nil {
			return
		}
	}
}

func blobIn(frame []byte, at index.Location) []byte { return frame[at.Offset : at.Offset+at.Length] }

// delta saves a chunk as a recipe, if that is worth it.
func (s *Saver) delta(id chunk.ID, data []byte, offset int64, before *Past) (bool, error) {
	start, expected := before.Around(s.w.ctx, offset, len(data), &s.base)
	if s.base.Length() == 0 {
		return false, nil
	}
	m := s.matcher.Match(data, &s.base, expected)
	r := &m.Recipe
	copied := len(data) - r.Literal.Length
	if copied > 0 {
		before.Agreed(offset, start+int64(m.Shift)-offset)
	}
	// What a recipe takes itself does not compress.
	if cost := 64 + 35*len(r.Sources) + 6*len(r.Copies); copied < 4*cost || 4*copied < len(data) {
		return false, nil
	}
	if sources := r.SourceBytes() - r.Literal.Length; float64(sources) > sourcesShare*float64(len(data)) || len(r.Sources) > sourcesMost {
		if s.w.affords(len(data)) {
			return false, nil
		}
	}
	if r.Literal.Length > 0 {
		r.Literal.ID = s.content.ID(m.Literal)
		known, err := s.w.known(r.Literal.ID.Key(), pack.WholeContent)
		if err == nil && !known {
			err = s.whole(r.Literal.ID, m.Literal, m.Runs, true)
		}
		if err != nil {
			return false, fmt.Errorf("save literal of %v: %w", id, err)
		}
	}
	s.w.Sent.Deltas.Add(1)
	s.w.Sent.Literals.Add(uint64(r.Literal.Length))
	return true, s.recipe(pack.WholeContent, id, r)
}

// metaDelta saves a tree or a list as a recipe, if that is worth it. The old ones can be read, so they need no signature.
func (s *Saver) metaDelta(typ pack.Type, id chunk.ID, data []byte, others []tree.Item) (bool, error) {
	s.base.Reset()
	for _, item := range others {
		s.describeMeta(typ, item)
	}
	if s.base.Length() == 0 {
		return false, nil
	}
	m := s.matcher.Match(data, &s.base, 0)
	r := &m.Recipe
	copied := len(data) - r.Literal.Length
	if cost := 64 + 35*len(r.Sources) + 6*len(r.Copies); copied < 3*cost || len(r.Sources) > treeSources {
		return false, nil
	}
	if r.Literal.Length > 0 {
		r.Literal.ID = s.metadata.ID(m.Literal)
		known, err := s.w.known(r.Literal.ID.Key(), typ)
		if err == nil && !known {
			err = s.wholeMeta(typ, r.Literal.ID, m.Literal)
		}
		if err != nil {
			return false, fmt.Errorf("save literal of %v: %w", id, err)
		}
	}
	return true, s.recipe(typ, id, r)
}

// describeMeta adds a stored tree or list to the base. One that cannot be read costs space only.
func (s *Saver) describeMeta(typ pack.Type, item tree.Item) {
	data, err := s.w.reader.Metadata(s.w.ctx, item.ID)
	if err != nil || int64(len(data)) != item.Length {
		return
	}
	if ok, err := s.w.indexed(item.ID.Key(), typ); ok && err == nil {
		s.base.AppendWhole(delta.Source{ID: item.ID, Length: len(data)}, s.signer.Sign(data, treeBlock, nil))
	} else if r := s.w.recipe(s.w.ctx, item.ID, typ); r != nil && r.Length == len(data) {
		s.base.AppendRebuilt(r, data, s.signer, treeBlock)
	}
}

// affords reports whether a chunk may be stored whole though a recipe would do. A night spends as much on that as on its literals.
func (w *Writer) affords(size int) bool {
	for {
		spent := w.rebased.Load()
		if spent+uint64(size) > w.Sent.Literals.Load() {
			return false
		}
		if w.rebased.CompareAndSwap(spent, spent+uint64(size)) {
			return true
		}
	}
}

// sign saves the signature of a chunk.
func (s *Saver) sign(id chunk.ID, data []byte, runs []int) error {
	s.encoded = s.signer.Sign(data, signBlock, runs).Append(s.encoded[:0])
	return s.blob(&s.signatures, pack.SignatureOf+pack.WholeContent, pack.Opaque, id.Key(), s.encoded)
}

// recipe saves how a chunk is put together.
func (s *Saver) recipe(whole pack.Type, id chunk.ID, r *delta.Recipe) error {
	s.encoded = r.Append(s.encoded[:0])
	return s.blob(&s.recipes, pack.RecipeFor+whole, metadataClass, id.Key(), s.encoded)
}

// blob saves metadata under the key of an id.
func (s *Saver) blob(f *openFrame, typ pack.Type, class pack.Class, key chunk.Key, encoded []byte) error {
	s.w.Sent.Metadata.Add(uint64(len(encoded)))
	return s.share(f, pack.Metadata, class, encoded, pack.Blob{Key: key, Type: typ, Length: len(encoded)}, metadataFrame)
}
