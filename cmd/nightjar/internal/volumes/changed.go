package volumes

import (
	"context"
	"iter"

	"nightjar/repo/tree"
)

// Changed yields the pieces of a volume that are not the same in another archive of it, in order; holes where both have nothing are left out, and
// where only the other one has something, each chunk of it is a hole of its length.
func Changed(ctx context.Context, from Source, c tree.Contents, otherFrom Source, other tree.Contents) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		next, stop := iter.Pull2(Walk(ctx, otherFrom, other))
		defer stop()
		var old Piece
		var failed error
		advance := func(at int64) { // to the piece of the other in which an offset lies, or the first behind it
			for failed == nil && old.At+old.Length <= at {
				p, err, ok := next()
				if !ok {
					old = Piece{At: other.Size(), Length: c.Size() + 1, Hole: true} // the other ends
					return
				}
				old, failed = p, err
			}
		}
		for p, err := range Walk(ctx, from, c) {
			if err != nil {
				yield(p, err)
				return
			}
			for at := p.At; at < p.At+p.Length; {
				advance(at)
				if failed != nil {
					yield(p, failed)
					return
				}
				end := min(p.At+p.Length, old.At+old.Length)
				if !p.Hole {
					if (old.Hole || old.At != p.At || old.Length != p.Length || old.id != p.id) && !yield(p, nil) {
						return
					}
					break
				}
				if !old.Hole && !yield(Piece{At: at, Length: end - at, Hole: true}, nil) {
					return
				}
				at = end
			}
		}
	}
}
