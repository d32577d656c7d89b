package save

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/pack"
	"nightjar/repo/past"
	"nightjar/repo/tree"
)

const (
	signBlock   = 512      // bytes of a block
	signFrom    = 8 << 10  // chunks from this size on have a signature, if they compress or changed before
	signLiteral = 128      // so have literals: else what changed once is sent again with every change beside it
	signatures  = 16 << 20 // bytes of old signatures that are held

	// Trees are read every night, so they are put together of fewer; and what changes in one is small.
	treeBlock   = 64
	treeSources = 8
)

// A Past is what a file, or a stream, held in the archive before. It may be used by several goroutines; Close it.
type Past struct {
	*past.Choice
	held bool // so that content which does not compress is worth a signature: it changes
}

// Past returns what is known of the contents that a file had: held before, as far as its name or inode tells, the likeliest first. like are contents of
// other files that it may resemble.
func (w *Writer) Past(held, like []tree.Contents) *Past {
	return &Past{past.Choose(w.ctx, stored{w}, slices.Concat(held, like)), len(held) > 0}
}

// stored is what past may know of the repository.
type stored struct{ *Writer }

func (w stored) List(ctx context.Context, id chunk.ID) ([]byte, error) {
	return w.reader.Metadata(ctx, id)
}

// Describe skips what is broken, or from somebody who is not trusted: that costs space.
func (w stored) Describe(ctx context.Context, id chunk.ID, length int, to *delta.Base) {
	if ok, err := w.run.Indexed(id.Key(), pack.WholeContent); ok && err == nil {
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
			if ok, err := w.run.Indexed(s.ID.Key(), pack.WholeContent); ok && err == nil {
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

// trustedBlob hands the first blob of a type to use that it accepts, of those that this run may build on.
func (w *Writer) trustedBlob(ctx context.Context, id chunk.ID, typ pack.Type, use func([]byte) error) {
	all, err := w.reader.Locations(ctx, id, typ)
	if err != nil {
		return
	}
	for _, at := range all {
		if !w.run.Trusts(at, id.Key()) {
			continue
		}
		if b, err := w.reader.Blob(ctx, at); err == nil && use(b) == nil {
			return
		}
	}
}

// delta saves a chunk as a recipe, if that is worth it.
func (s *Saver) delta(id chunk.ID, data []byte, offset int64, before *Past) (bool, error) {
	for _, old := range before.Likely() {
		if done, err := s.deltaOf(id, data, offset, old); done || err != nil {
			before.Right(old)
			return done, err
		}
	}
	before.Wrong(len(data))
	return false, nil
}

func (s *Saver) deltaOf(id chunk.ID, data []byte, offset int64, before *past.Content) (bool, error) {
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
	if cost := recipeSize(r); copied < 4*cost || 4*copied < len(data) || outgrown(r, cost) {
		return false, nil
	}
	if ok, err := s.w.leans(r, pack.WholeContent); !ok || err != nil {
		return false, err
	}
	if r.Literal.Length > 0 {
		r.Literal.ID = s.content.ID(m.Literal)
		known, err := s.w.knownWhole(r.Literal.ID.Key(), pack.WholeContent)
		if err == nil && known {
			err = s.mend(r.Literal.ID, m.Literal, m.Runs)
		} else if err == nil {
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
	if copied < 3*recipeSize(r) || len(r.Sources) > treeSources {
		return false, nil
	}
	if ok, err := s.w.leans(r, typ); !ok || err != nil || !s.tried(r, m.Literal, typ, data) {
		return false, err
	}
	if r.Literal.Length > 0 {
		r.Literal.ID = s.metadata.ID(m.Literal)
		known, err := s.w.knownWhole(r.Literal.ID.Key(), typ)
		if err == nil && !known {
			err = s.wholeMeta(typ, r.Literal.ID, m.Literal)
		}
		if err != nil {
			return false, fmt.Errorf("save literal of %v: %w", id, err)
		}
	}
	return true, s.recipe(typ, id, r)
}

// tried reports whether a recipe makes the tree or list that it is for, of its literal and what is stored. Trees hold names that anybody may have chosen.
func (s *Saver) tried(r *delta.Recipe, literal []byte, typ pack.Type, data []byte) bool {
	made, err := s.w.reader.Apply(s.w.ctx, s.made[:0], r, literal, typ)
	s.made = made
	return err == nil && bytes.Equal(made, data)
}

// leans reports whether all sources of a recipe are where this run may refer to them; if so, it is taken to. Since they were described a new
// view may have come.
func (w *Writer) leans(r *delta.Recipe, whole pack.Type) (bool, error) {
	for _, source := range r.Sources {
		if ok, err := w.refer(source.ID.Key(), whole); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// describeMeta adds a stored tree or list to the base. One that cannot be read costs space only.
func (s *Saver) describeMeta(typ pack.Type, item tree.Item) {
	data, err := s.w.reader.Metadata(s.w.ctx, item.ID)
	if err != nil || int64(len(data)) != item.Length {
		return
	}
	if ok, err := s.w.run.Indexed(item.ID.Key(), typ); ok && err == nil {
		s.base.AppendWhole(delta.Source{ID: item.ID, Length: len(data)}, s.signer.Sign(item.ID, data, treeBlock, nil))
	} else if r := s.w.recipe(s.w.ctx, item.ID, typ); r != nil && r.Length == len(data) {
		s.base.AppendRebuilt(r, data, s.signer, treeBlock)
	}
}

// recipeSize is about how long a recipe is, encoded.
func recipeSize(r *delta.Recipe) int { return 64 + 35*len(r.Sources) + 6*len(r.Copies) }

// outgrown reports whether the chunk of a recipe, which has the size given, is better stored whole again. That pays when what the
// chunk has cost since it was whole is about its length: what its sources hold, but for two (one is what it was, or its edges moved and
// two are), and a recipe with each of them, half as long as this one in the mean.
//
// The chunks of a file change together. So each has a limit of its own, between half its length and one and a half, drawn from its largest source: they become whole in
// different nights, and in each about as many bytes as that night has literals and recipes.
func outgrown(r *delta.Recipe, size int) bool {
	var base delta.Source
	total, second := 0, 0
	for _, s := range r.Sources {
		total += s.Length
		if s.Length > base.Length {
			base, second = s, base.Length
		} else {
			second = max(second, s.Length)
		}
	}
	cost := total - base.Length - second + len(r.Sources)*size/2
	limit := 0.5 + float64(binary.BigEndian.Uint32(base.ID[:]))/(1<<32)
	return float64(cost) > limit*float64(r.Length)
}

// sign saves the signature of a chunk.
func (s *Saver) sign(id chunk.ID, data []byte, runs []int) error {
	s.encoded = s.signer.Sign(id, data, signBlock, runs).Append(s.encoded[:0])
	return s.blob(pack.SignatureOf+pack.WholeContent, id, s.encoded)
}

// signable reports whether a chunk is long enough to have a signature.
func signable(data []byte, runs []int) bool {
	return len(data) >= signFrom || runs != nil && len(data) >= signLiteral
}

// mend signs a known chunk whose signature was lost: a run that dies has indexed most of its content, and none of its metadata.
func (s *Saver) mend(id chunk.ID, data []byte, runs []int) error {
	if !signable(data, runs) {
		return nil
	}
	if signed, err := s.w.run.Indexed(id.Key(), pack.SignatureOf+pack.WholeContent); signed || err != nil {
		return err
	}
	if runs == nil && pack.ClassOf(data) == pack.Opaque || !s.w.unsigned(id) {
		return nil
	}
	return s.sign(id, data, runs)
}

// unsigned reports whether a whole chunk was stored by a run before, and makes its signature the caller's to save. It is asked once no signature is indexed.
func (w *Writer) unsigned(id chunk.ID) bool {
	all, err := w.reader.Locations(w.ctx, id, pack.WholeContent)
	return err == nil && w.unindexed.others(all, w.accept) && w.claims.take(id.Key())
}

// recipe saves how a chunk is put together.
func (s *Saver) recipe(whole pack.Type, id chunk.ID, r *delta.Recipe) error {
	s.encoded = r.Append(s.encoded[:0])
	return s.blob(pack.RecipeFor+whole, id, s.encoded)
}

// blob saves metadata under an id.
func (s *Saver) blob(typ pack.Type, id chunk.ID, encoded []byte) error {
	s.w.Sent.Metadata.Add(uint64(len(encoded)))
	return s.frames.Metadata(encoded, pack.Blob{Key: id.Key(), Type: typ, Length: len(encoded)})
}
