package save

import (
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/fill"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// A Saver saves what one goroutine has. Chunks that it saves after one another share frames.
type Saver struct {
	w                 *Writer
	frames            *fill.Frames
	content, metadata *chunk.Namer

	signer  *delta.Signer
	matcher *delta.Matcher
	base    delta.Base
	encoded []byte // a recipe or signature in the making
	made    []byte // by a recipe that is tried
}

// NewSaver returns a Saver for one goroutine, which must have stopped saving when the function that was given the Writer returns.
func (w *Writer) NewSaver() (*Saver, error) {
	frames, err := w.packs.NewFrames()
	if err != nil {
		return nil, err
	}
	signer := delta.NewSigner(w.r.Secret())
	return &Saver{w: w, frames: frames, content: w.r.Namer(), metadata: chunk.NewNamer(w.r.Secret(), chunk.Metadata),
		signer: signer, matcher: delta.NewMatcher(signer)}, nil
}

// Content saves a chunk of content, at most chunk.MaxSize bytes, unless it is known. It keeps nothing of data.
func (s *Saver) Content(data []byte) (chunk.ID, error) { return s.ContentAt(data, 0, nil) }

// ContentAt is Content for a chunk of a file whose earlier content is known: what stands near offset there is not sent again. before may be nil.
func (s *Saver) ContentAt(data []byte, offset int64, before *Past) (chunk.ID, error) {
	if len(data) > chunk.MaxSize {
		return chunk.ID{}, fmt.Errorf("save chunk: %d bytes are too many", len(data))
	}
	id := s.content.ID(data)
	known, err := s.w.known(id.Key(), pack.WholeContent)
	if err != nil {
		return id, fmt.Errorf("look up chunk %v: %w", id, err)
	}
	if known {
		s.w.Sent.ChunksKnown.Add(1)
		s.w.Sent.PlainKnown.Add(uint64(len(data)))
		if before != nil {
			before.Known(offset, id)
		}
		return id, s.mend(id, data, nil)
	}
	s.w.Sent.ChunksNew.Add(1)
	s.w.Sent.PlainNew.Add(uint64(len(data)))
	if before != nil && len(data) >= signFrom {
		if done, err := s.delta(id, data, offset, before); done || err != nil {
			return id, err
		}
	}
	s.w.claims.takeWhole(id.Key())
	return id, s.whole(id, data, nil, before != nil && before.held)
}

// whole saves a chunk as itself, and its signature if it may be worth it. The grid of the signature restarts with each run; nil is one run.
func (s *Saver) whole(id chunk.ID, data []byte, runs []int, changes bool) error {
	blob := pack.Blob{Key: id.Key(), Type: pack.WholeContent, Length: len(data)}
	class := pack.ClassOf(data)
	if signable(data, runs) && (runs != nil || changes || class != pack.Opaque) {
		if err := s.sign(id, data, runs); err != nil {
			return err
		}
	}
	if runs != nil {
		return s.frames.Literal(class, data, blob)
	}
	return s.frames.Content(class, data, blob)
}

// Again saves a chunk of content as itself, whatever is known of it.
func (s *Saver) Again(data []byte) error {
	return s.frames.Content(pack.ClassOf(data), data, pack.Blob{Key: s.content.ID(data).Key(), Type: pack.WholeContent, Length: len(data)})
}

// Tree saves a tree unless it is known.
func (s *Saver) Tree(encoded []byte) (chunk.ID, error) { return s.meta(pack.WholeTree, encoded) }

// TreeLike is Tree for one that resembles others that are stored: what they have is not sent again.
func (s *Saver) TreeLike(encoded []byte, others []tree.Item) (chunk.ID, error) {
	return s.metaLike(pack.WholeTree, encoded, others)
}

// List saves a list unless it is known.
func (s *Saver) List(list []byte) (chunk.ID, error) { return s.meta(pack.WholeList, list) }

func (s *Saver) meta(typ pack.Type, data []byte) (chunk.ID, error) { return s.metaLike(typ, data, nil) }

func (s *Saver) metaLike(typ pack.Type, data []byte, others []tree.Item) (chunk.ID, error) {
	if len(data) > chunk.MaxSize {
		return chunk.ID{}, fmt.Errorf("save metadata: %d bytes are too many", len(data))
	}
	id := s.metadata.ID(data)
	known, err := s.w.known(id.Key(), typ)
	if err != nil {
		return id, fmt.Errorf("look up metadata %v: %w", id, err)
	}
	if known {
		return id, nil
	}
	if done, err := s.metaDelta(typ, id, data, others); done || err != nil {
		return id, err
	}
	s.w.claims.takeWhole(id.Key())
	return id, s.wholeMeta(typ, id, data)
}

func (s *Saver) wholeMeta(typ pack.Type, id chunk.ID, data []byte) error {
	return s.blob(typ, id, data)
}
