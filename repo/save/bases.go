package save

import (
	"context"
	"slices"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/internal/lru"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/past"
	"nightjar/repo/tree"
	"nightjar/repo/view"
)

// heldSignatures is how many bytes of old signatures are held.
const heldSignatures = 16 << 20

// A Past is what a file, or a stream, held in the archive before. It may be used by several goroutines; Close it.
type Past struct {
	*past.Choice
	held bool
}

// changes reports whether content of the file that does not compress is worth a signature: there is older content of it, so
// it changes. That of nil is not.
func (p *Past) changes() bool { return p != nil && p.held }

// Past returns what is known of the contents that a file had: held before, as far as its name or inode tells, the likeliest
// first. like are contents of other files that it may resemble.
func (w *Writer) Past(held, like []tree.Contents) *Past {
	return &Past{past.Choose(w.run.work, w.bases, slices.Concat(held, like)), len(held) > 0}
}

// bases describe what is stored, for recipes to copy from: as far as this run may build on it. What is broken, or of
// somebody who is not trusted, is left out: that costs space only. They are safe for concurrent use.
type bases struct {
	reader *repo.Reader
	view   *view.Run
	sums   *lru.Cache[chunk.Key, *delta.Signature] // nil for a chunk that has none
}

func newBases(reader *repo.Reader, view *view.Run) *bases {
	return &bases{reader, view, lru.New[chunk.Key, *delta.Signature](heldSignatures)}
}

// List returns a list of chunks.
func (b *bases) List(ctx context.Context, id chunk.ID) ([]byte, error) {
	return b.reader.Metadata(ctx, id)
}

// Describe adds a chunk of content to a base, by its signature; or by its recipe, and those of the recipe's sources.
func (b *bases) Describe(ctx context.Context, id chunk.ID, length int, to *delta.Base) {
	if b.whole(id, pack.WholeContent) {
		to.AppendWhole(delta.Source{ID: id, Length: length}, b.signature(ctx, id))
		return
	}
	r := b.recipe(ctx, id, pack.WholeContent)
	if r == nil || r.Length != length {
		to.Skip(length)
		return
	}
	sums := make([]*delta.Signature, len(r.Sources)+1)
	for n := range sums {
		if s := r.Source(n); s.Length > 0 && b.whole(s.ID, pack.WholeContent) {
			sums[n] = b.signature(ctx, s.ID)
		}
	}
	to.AppendRecipe(r, sums)
}

// describeMetadata adds a stored tree or list to a base.
func (b *bases) describeMetadata(ctx context.Context, typ pack.Type, item tree.Item, signer *delta.Signer, to *delta.Base) {
	data, err := b.reader.Metadata(ctx, item.ID)
	if err != nil || int64(len(data)) != item.Length {
		return
	}
	if b.whole(item.ID, typ) {
		to.AppendWhole(delta.Source{ID: item.ID, Length: len(data)}, signer.Sign(item.ID, data, treeBlock, nil))
	} else if r := b.recipe(ctx, item.ID, typ); r != nil && r.Length == len(data) {
		to.AppendRebuilt(r, data, signer, treeBlock)
	}
}

// whole reports whether this run could refer to something that is stored as itself.
func (b *bases) whole(id chunk.ID, typ pack.Type) bool {
	ok, err := b.view.Indexed(id.Key(), typ)
	return ok && err == nil
}

func (b *bases) recipe(ctx context.Context, id chunk.ID, whole pack.Type) (r *delta.Recipe) {
	b.blob(ctx, id, pack.RecipeFor+whole, func(encoded []byte) (err error) {
		r, err = delta.DecodeRecipe(encoded)
		return err
	})
	return r
}

func (b *bases) signature(ctx context.Context, id chunk.ID) *delta.Signature {
	if s, ok := b.sums.Get(id.Key()); ok {
		return s
	}
	var s *delta.Signature
	size := 0
	b.blob(ctx, id, pack.SignatureOf+pack.WholeContent, func(encoded []byte) (err error) {
		size = len(encoded)
		s, err = delta.DecodeSignature(encoded)
		return err
	})
	b.sums.Put(id.Key(), s, size+64)
	return s
}

// blob hands the first blob of a type to use that it accepts.
func (b *bases) blob(ctx context.Context, id chunk.ID, typ pack.Type, use func([]byte) error) {
	all, err := b.reader.Locations(ctx, id, typ)
	if err != nil {
		return
	}
	for _, at := range all {
		if !b.view.Trusts(at, id.Key()) {
			continue
		}
		if encoded, err := b.reader.Blob(ctx, at); err == nil && use(encoded) == nil {
			return
		}
	}
}
