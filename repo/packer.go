package repo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"nightjar/crypto"
	"nightjar/repo/blocks"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

// packSize is what a pack's plaintext is filled to, in bytes.
const packSize = 16 << 20

// A packer fills packs of one kind with frames and sends the full ones.
type packer struct {
	w      *Writer
	kind   pack.Kind
	sealer *crypto.Sealer
	spare  chan []byte // memory of packs that were sent

	mu        sync.Mutex
	message   *crypto.Message // nil: no pack is open
	directory pack.Directory
}

func (w *Writer) makePackers(signer *crypto.Key) error {
	for i, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		sealer, err := w.r.PackSealer(kind, signer)
		if err != nil {
			return err
		}
		w.packers[i] = &packer{w: w, kind: kind, sealer: sealer, spare: make(chan []byte, w.r.options.Connections+1)}
	}
	return nil
}

// add puts a finished frame into the open pack. It blocks while as many packs as there are connections are on their way.
func (p *packer) add(stored []byte, f pack.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.message != nil && (p.message.Len()+len(stored)+p.directory.TailSize(len(f.Blobs)) > packSize || len(p.directory.Frames) == pack.MaxFrames) {
		p.send(true)
	}
	if err := context.Cause(p.w.ctx); err != nil {
		return err
	}
	if p.message == nil {
		m, err := p.sealer.Begin(p.memory())
		if err != nil {
			return fmt.Errorf("begin %v pack: %w", p.kind, err)
		}
		p.message, p.directory = m, pack.Directory{Kind: p.kind}
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
	return make([]byte, 0, crypto.HeaderMax+pack.MaxPlain+crypto.TrailerMax)
}

func (p *packer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.message != nil {
		p.send(false)
	}
	return context.Cause(p.w.ctx)
}

// send hands the open pack over to an upload.
func (p *packer) send(full bool) {
	m, d := p.message, p.directory
	p.message, p.directory = nil, pack.Directory{}
	p.w.uploads.Go(func() error {
		err := p.upload(m, d, full)
		if err != nil {
			p.w.fail(err)
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
	entry := sealed.Indexed(sha256.Sum256(object), object, message.Envelope, d)
	name := sealed.Name(p.kind.String(), entry.ID)
	p.w.run.Sent(entry.ID)
	if _, err := p.w.r.Store().Put(p.w.ctx, name, object); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if p.kind == pack.Metadata { // the next night reads it
		p.w.r.Blocks().Keep(blocks.Object{Sum: entry.ID, Name: name, Size: entry.Size}, object)
	}
	p.w.Sent.Objects.Add(1)
	p.w.Sent.Bytes.Add(uint64(len(object)))
	select {
	case p.spare <- object:
	default:
	}
	return p.w.storedPack(entry)
}
