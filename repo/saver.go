package repo

import (
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

const (
	sharedFrame   = 1 << 20   // plaintext of a frame that small chunks share
	ownFrame      = 512 << 10 // a chunk from this size on has a frame to itself
	literalFrame  = 512 << 10
	metadataFrame = 128 << 10
	metadataClass = pack.Text // of trees, lists and recipes: little, and sent every night, so worth the work
)

// A Saver saves what one goroutine has. Chunks that it saves after one another share frames.
type Saver struct {
	w                 *Writer
	compressor        *pack.Compressor
	content, metadata *chunk.Namer
	shared            [pack.Classes]openFrame
	trees             openFrame
	recipes           openFrame
	signatures        openFrame
	out               []byte

	signer  *delta.Signer
	matcher *delta.Matcher
	base    delta.Base
	encoded []byte // a recipe or signature in the making
}

type openFrame struct {
	data  []byte
	blobs []pack.Blob
}

// NewSaver returns a Saver for one goroutine, which must have stopped saving when the function that was given the Writer returns.
func (w *Writer) NewSaver() (*Saver, error) {
	c, err := pack.NewCompressor(w.r.options.Compression)
	if err != nil {
		return nil, err
	}
	signer := delta.NewSigner(w.r.Secret())
	s := &Saver{w: w, compressor: c, content: w.r.Namer(), metadata: chunk.NewNamer(w.r.Secret(), chunk.Metadata),
		signer: signer, matcher: delta.NewMatcher(signer)}
	w.savers.Lock()
	defer w.savers.Unlock()
	w.savers.all = append(w.savers.all, s)
	return s, nil
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
	s.w.claimWhole(id.Key())
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
	if runs != nil && len(data) < ownFrame {
		return s.literal(class, data, blob)
	}
	return s.wholeContent(class, data, blob)
}

// Again saves a chunk of content as itself, whatever is known of it.
func (s *Saver) Again(data []byte) error {
	return s.wholeContent(pack.ClassOf(data), data, pack.Blob{Key: s.content.ID(data).Key(), Type: pack.WholeContent, Length: len(data)})
}

// wholeContent puts a chunk of content into a frame of its own, or into one that small ones share.
func (s *Saver) wholeContent(class pack.Class, data []byte, blob pack.Blob) error {
	if len(data) >= ownFrame {
		return s.frame(pack.Content, class, data, []pack.Blob{blob})
	}
	return s.share(&s.shared[class], pack.Content, class, data, blob, sharedFrame)
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
	s.w.claimWhole(id.Key())
	return id, s.wholeMeta(typ, id, data)
}

func (s *Saver) wholeMeta(typ pack.Type, id chunk.ID, data []byte) error {
	return s.blob(&s.trees, typ, metadataClass, id, data)
}

// share puts data into an open frame, which is closed first if it would become too large.
func (s *Saver) share(f *openFrame, kind pack.Kind, class pack.Class, data []byte, blob pack.Blob, limit int) error {
	if f.full(data, limit) {
		if err := s.close(f, kind, class); err != nil {
			return err
		}
	}
	f.add(data, blob, limit)
	return nil
}

func (f *openFrame) full(data []byte, limit int) bool {
	return len(f.data)+len(data) > limit || len(f.blobs) == pack.MaxBlobs
}

func (f *openFrame) add(data []byte, blob pack.Blob, limit int) {
	if f.data == nil {
		f.data = make([]byte, 0, limit)
	}
	f.data = append(f.data, data...)
	f.blobs = append(f.blobs, blob)
}

// literal puts data into the frame of the whole run: so literals lie in about the order of their files, however many workers there are, and a restore needs
// few frames of each night at a time.
func (s *Saver) literal(class pack.Class, data []byte, blob pack.Blob) error {
	var full openFrame
	s.w.literals.Lock()
	f := &s.w.literals.frames[class]
	if f.full(data, literalFrame) {
		full, *f = *f, openFrame{}
	}
	f.add(data, blob, literalFrame)
	s.w.literals.Unlock()
	return s.close(&full, pack.Content, class)
}

func (s *Saver) close(f *openFrame, kind pack.Kind, class pack.Class) error {
	if len(f.blobs) == 0 {
		return nil
	}
	blobs := append([]pack.Blob(nil), f.blobs...) // the directory keeps them
	err := s.frame(kind, class, f.data, blobs)
	f.data, f.blobs = f.data[:0], f.blobs[:0]
	return err
}

func (s *Saver) frame(kind pack.Kind, class pack.Class, data []byte, blobs []pack.Blob) error {
	s.out = s.compressor.Append(s.out[:0], data, class)
	p := s.w.packers[0]
	if kind == pack.Metadata {
		p = s.w.packers[1]
	} else {
		s.w.Sent.Frames.Add(uint64(len(s.out)))
	}
	return p.add(s.out, pack.Frame{Plain: len(data), Blobs: blobs})
}

// flush closes all open frames, those of the whole run too. No other Saver may be in use.
func (s *Saver) flush() error {
	for _, frames := range []*[pack.Classes]openFrame{&s.shared, &s.w.literals.frames} {
		for class := range frames {
			if err := s.close(&frames[class], pack.Content, pack.Class(class)); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct {
		*openFrame
		pack.Class
	}{{&s.trees, metadataClass}, {&s.recipes, metadataClass}, {&s.signatures, pack.Opaque}} {
		if err := s.close(f.openFrame, pack.Metadata, f.Class); err != nil {
			return err
		}
	}
	return nil
}
