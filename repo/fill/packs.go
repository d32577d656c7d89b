// Package fill puts chunks and metadata into frames, and frames into packs: what comes after one another and is alike shares a frame, and a pack is sent when it is
// full.
//
// Packs are those of one run. Each goroutine of it has Frames of its own, so that what it saves in a row lies in a row.
//
// The invariant: a pack is complete in memory, sealed in place and sent once; and few of them are there at the same time.
//
// The package does not know what is stored already, nor where packs go.
package fill

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

// packSize is what a pack's plaintext is filled to, in bytes.
const packSize = 16 << 20

// Options say what becomes of packs.
type Options struct {
	Owner       string // name of the host whose packs they are
	Compression pack.Level
	Connections int                                          // packs sent at the same time
	Put         func(p index.Pack, object []byte) error      // stores a pack; it must not keep object
	Stored      func(p index.Pack) error                     // told of each pack when it is stored
	Sealer      func(kind pack.Kind) (*crypto.Sealer, error) // asked once for each kind
	Compressed  *atomic.Uint64                               // grows by the bytes of content, as frames
}

// Packs are those that one run fills. They are safe for concurrent use.
type Packs struct {
	ctx     context.Context
	fail    context.CancelCauseFunc
	options Options
	uploads errgroup.Group

	content, metadata *packer

	literals struct {
		sync.Mutex
		frames [pack.Classes]openFrame
	}
	frames struct {
		sync.Mutex
		all []*Frames
	}
}

// A packer fills packs of one kind with frames and sends the full ones.
type packer struct {
	run    *Packs
	kind   pack.Kind
	sealer *crypto.Sealer
	spare  chan []byte // memory of packs that were sent

	mu        sync.Mutex
	message   *crypto.Message // nil: no pack is open
	directory pack.Directory
}

// New returns Packs of a run that ends with ctx, and that fail ends, with the reason, when one cannot be stored.
func New(ctx context.Context, fail context.CancelCauseFunc, o Options) (*Packs, error) {
	p := &Packs{ctx: ctx, fail: fail, options: o}
	p.uploads.SetLimit(o.Connections)
	var err error
	if p.content, err = p.packer(pack.Content); err != nil {
		return nil, err
	}
	if p.metadata, err = p.packer(pack.Metadata); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Packs) packer(kind pack.Kind) (*packer, error) {
	sealer, err := p.options.Sealer(kind)
	if err != nil {
		return nil, err
	}
	return &packer{run: p, kind: kind, sealer: sealer, spare: make(chan []byte, p.options.Connections+1)}, nil
}

// Add puts a finished frame into the open pack of a kind, which is sent first if it is full. It blocks while as many packs as there are connections are on
// their way.
func (p *Packs) Add(kind pack.Kind, stored []byte, f pack.Frame) error {
	if kind == pack.Content {
		return p.content.add(stored, f)
	}
	return p.metadata.add(stored, f)
}

// Flush sends all that was put into Frames, none of which may be in use, and returns when it is stored, or when what failed has ended.
func (p *Packs) Flush() error {
	err := p.flush()
	return cmp.Or(err, p.Wait()) // nothing outlives a run, whether it fails or not
}

func (p *Packs) flush() error {
	for _, f := range p.frames.all {
		if err := f.Flush(); err != nil {
			return err
		}
	}
	if err := p.content.close(); err != nil {
		return err
	}
	return p.metadata.close()
}

// Send sends what has become a frame, unless the run has failed.
func (p *Packs) Send() { _, _ = p.content.close(), p.metadata.close() }

// Wait returns when nothing is on its way any more, with the first error.
func (p *Packs) Wait() error { return p.uploads.Wait() }

func (p *packer) add(stored []byte, f pack.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.message != nil && (p.message.Len()+len(stored)+p.directory.TailSize(len(f.Blobs)) > packSize || len(p.directory.Frames) == pack.MaxFrames) {
		p.send(true)
	}
	if err := context.Cause(p.run.ctx); err != nil {
		return err
	}
	if p.message == nil {
		m, err := p.sealer.Begin(p.memory())
		if err != nil {
			return fmt.Errorf("begin %v pack: %w", p.kind, err)
		}
		p.message, p.directory = m, pack.Directory{Kind: p.kind, Owner: p.run.options.Owner}
	}
	p.message.Buf = append(p.message.Buf, stored...)
	f.Stored = len(stored)
	p.directory.Frames = append(p.directory.Frames, f)
	return nil
}

// memory returns the memory of a pack that was sent, or new. Content packs will be full; of metadata there is often little.
func (p *packer) memory() []byte {
	select {
	case buf := <-p.spare:
		return buf[:0]
	default:
	}
	if p.kind == pack.Metadata {
		return nil
	}
	return make([]byte, 0, crypto.HeaderMax+pack.FullPlain+crypto.TrailerMax)
}

func (p *packer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.message != nil {
		p.send(false)
	}
	return context.Cause(p.run.ctx)
}

// send hands the open pack over to an upload.
func (p *packer) send(full bool) {
	m, d := p.message, p.directory
	p.message, p.directory = nil, pack.Directory{}
	p.run.uploads.Go(func() error {
		err := p.upload(m, d, full)
		if err != nil {
			p.run.fail(err)
		}
		return err
	})
}

func (p *packer) upload(m *crypto.Message, d pack.Directory, full bool) error {
	m.Buf = d.Tail(m.Buf, full)
	message, err := m.Seal()
	if err != nil {
		return fmt.Errorf("seal %v pack: %w", p.kind, err)
	}
	object := message.Object
	entry := sealed.Indexed(sha256.Sum256(object), object, message.Envelope, message.Key, d)
	if err := p.run.options.Put(entry, object); err != nil {
		return err
	}
	select {
	case p.spare <- object:
	default:
	}
	return p.run.options.Stored(entry)
}
