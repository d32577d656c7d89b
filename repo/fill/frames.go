package fill

import (
	"nightjar/repo/pack"
)

const (
	sharedFrame   = 1 << 20   // plaintext of a frame that small chunks share
	ownFrame      = 512 << 10 // a chunk from this size on has a frame to itself
	literalFrame  = 512 << 10
	metadataFrame = 128 << 10
	metadataClass = pack.Text // of trees, lists and recipes: little, and sent every night, so worth the work
)

// Frames are those that one goroutine has open. What it puts in one after another shares frames.
type Frames struct {
	packs      *Packs
	compressor *pack.Compressor
	shared     [pack.Classes]openFrame // of content
	trees      openFrame
	recipes    openFrame
	signatures openFrame
	out        []byte
}

type openFrame struct {
	data  []byte
	blobs []pack.Blob
}

// NewFrames returns Frames for one goroutine.
func (p *Packs) NewFrames() (*Frames, error) {
	c, err := pack.NewCompressor(p.options.Compression)
	if err != nil {
		return nil, err
	}
	f := &Frames{packs: p, compressor: c}
	p.frames.Lock()
	defer p.frames.Unlock()
	p.frames.all = append(p.frames.all, f)
	return f, nil
}

// Content puts a chunk of content into a frame of its own, or into one that small ones share. It keeps nothing of data, as no method does.
func (f *Frames) Content(class pack.Class, data []byte, blob pack.Blob) error {
	if len(data) >= ownFrame {
		return f.frame(pack.Content, class, data, []pack.Blob{blob})
	}
	return f.share(&f.shared[class], pack.Content, class, data, blob, sharedFrame)
}

// Literal is Content for the literal of a recipe. A small one goes into a frame of the whole run: so literals lie in about the order of their files, however many
// goroutines there are, and a restore needs few frames of each night at a time.
func (f *Frames) Literal(class pack.Class, data []byte, blob pack.Blob) error {
	if len(data) >= ownFrame {
		return f.Content(class, data, blob)
	}
	var full openFrame
	l := &f.packs.literals
	l.Lock()
	open := &l.frames[class]
	if open.full(data, literalFrame) {
		full, *open = *open, openFrame{}
	}
	open.add(data, blob, literalFrame)
	l.Unlock()
	return f.close(&full, pack.Content, class)
}

// Metadata puts a tree, list, recipe or signature into a frame of its kind.
func (f *Frames) Metadata(data []byte, blob pack.Blob) error {
	open, class := f.metadata(blob.Type)
	return f.share(open, pack.Metadata, class, data, blob, metadataFrame)
}

func (f *Frames) metadata(t pack.Type) (*openFrame, pack.Class) {
	switch {
	case t >= pack.SignatureOf:
		return &f.signatures, pack.Opaque
	case t >= pack.RecipeFor:
		return &f.recipes, metadataClass
	}
	return &f.trees, metadataClass
}

// share puts data into an open frame, which is closed first if it would become too large.
func (f *Frames) share(open *openFrame, kind pack.Kind, class pack.Class, data []byte, blob pack.Blob, limit int) error {
	if open.full(data, limit) {
		if err := f.close(open, kind, class); err != nil {
			return err
		}
	}
	open.add(data, blob, limit)
	return nil
}

func (o *openFrame) full(data []byte, limit int) bool {
	return len(o.data)+len(data) > limit || len(o.blobs) == pack.MaxBlobs
}

func (o *openFrame) add(data []byte, blob pack.Blob, limit int) {
	if o.data == nil {
		o.data = make([]byte, 0, limit)
	}
	o.data = append(o.data, data...)
	o.blobs = append(o.blobs, blob)
}

func (f *Frames) close(open *openFrame, kind pack.Kind, class pack.Class) error {
	if len(open.blobs) == 0 {
		return nil
	}
	blobs := append([]pack.Blob(nil), open.blobs...) // the directory keeps them
	err := f.frame(kind, class, open.data, blobs)
	open.data, open.blobs = open.data[:0], open.blobs[:0]
	return err
}

func (f *Frames) frame(kind pack.Kind, class pack.Class, data []byte, blobs []pack.Blob) error {
	f.out = f.compressor.Append(f.out[:0], data, class)
	if kind == pack.Content {
		f.packs.options.Compressed.Add(uint64(len(f.out)))
	}
	return f.packs.Add(kind, f.out, pack.Frame{Plain: len(data), Blobs: blobs})
}

// Flush closes all open frames, those of the whole run too. No other Frames may be in use.
func (f *Frames) Flush() error {
	for _, frames := range []*[pack.Classes]openFrame{&f.shared, &f.packs.literals.frames} {
		for class := range frames {
			if err := f.close(&frames[class], pack.Content, pack.Class(class)); err != nil {
				return err
			}
		}
	}
	for _, t := range []pack.Type{pack.WholeTree, pack.RecipeFor, pack.SignatureOf} {
		open, class := f.metadata(t)
		if err := f.close(open, pack.Metadata, class); err != nil {
			return err
		}
	}
	return nil
}
