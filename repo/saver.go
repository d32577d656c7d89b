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
	signer := delta.NewSigner(w.r.config.secret)
	s := &Saver{w: w, compressor: c, content: w.r.Namer(), metadata: chunk.NewNamer(w.r.config.secret, chunk.Metadata),
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
		return id, nil
	}
	s.w.Sent.ChunksNew.Add(1)
	s.w.Sent.PlainNew.Add(uint64(len(data)))
	if before != nil && len(data) >= signFrom {
		if done, err := s.delta(id, data, offset, before); done || err != nil {
			return id, err
		}
	}
	return id, s.whole(id, data, nil, before != nil)
}

// whole saves a chunk as itself, and its signature if it may be worth it. The grid of the signature restarts with each run; nil is one run.
func (s *Saver) whole(id chunk.ID, data []byte, runs []int, changes bool) error {
	class := pack.ClassOf(data)
	if runs != nil && len(data) >= signLiteral || len(data) >= signFrom && (changes || class != pack.Opaque) {
		if err := s.sign(id, data, runs); err != nil {
			return err
		}
	}
	return s.piece(id.Key(), class, data)
}

// piece saves content as itself.
func (s *Saver) piece(key chunk.Key, class pack.Class, data []byte) error {
	blob := pack.Blob{Key: key, Type: pack.WholeContent, Length: len(data)}
	if len(data) >= ownFrame {
		return s.frame(pack.Content, class, data, []pack.Blob{blob})
	}
	return s.share(&s.shared[class], pack.Content, class, data, blob, sharedFrame)
}

// Blob saves a blob as it lay in another pack, unless there is one of that form. The caller has authenticated it, and what it leans on is stored.
func (s *Saver) Blob(typ pack.Type, key chunk.Key, data []byte) error {
	known, err := s.w.indexed(key, typ)
	if known || err != nil {
		return err
	}
	switch typ {
	case pack.WholeContent:
		return s.piece(key, pack.ClassOf(data), data)
	case pack.WholeTree, pack.WholeList:
		return s.blob(&s.trees, typ, metadataClass, key, data)
	case pack.SignatureOf + pack.WholeContent:
		return s.blob(&s.signatures, typ, pack.Opaque, key, data)
	}
	return s.blob(&s.recipes, typ, metadataClass, key, data)
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
	return id, s.wholeMeta(typ, id, data)
}

func (s *Saver) wholeMeta(typ pack.Type, id chunk.ID, data []byte) error {
	return s.blob(&s.trees, typ, metadataClass, id.Key(), data)
}

// share puts data into an open frame, which is closed first if it would become too large.
func (s *Saver) share(f *openFrame, kind pack.Kind, class pack.Class, data []byte, blob pack.Blob, limit int) error {
	if len(f.data)+len(data) > limit || len(f.blobs) == pack.MaxBlobs {
		if err := s.close(f, kind, class); err != nil {
			return err
		}
	}
	if f.data == nil {
		f.data = make([]byte, 0, limit)
	}
	f.data = append(f.data, data...)
	f.blobs = append(f.blobs, blob)
	return nil
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

// flush closes all open frames.
func (s *Saver) flush() error {
	for class := range s.shared {
		if err := s.close(&s.shared[class], pack.Content, pack.Class(class)); err != nil {
			return err
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
