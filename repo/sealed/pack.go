package sealed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// MaxPack is the size in bytes of the largest pack that is read.
const MaxPack = crypto.HeaderMax + pack.MaxPlain + crypto.TrailerMax

// opener returns what opens packs of a kind.
func (s *Objects) opener(kind pack.Kind) (*crypto.Opener, error) {
	if kind != pack.Content {
		return s.metadata, nil
	}
	if s.content == nil {
		return nil, fmt.Errorf("content is sealed to the recovery keys: %w", crypto.ErrNoKey)
	}
	return s.content, nil
}

// SessionKey opens a pack's session key.
func (s *Objects) SessionKey(p *lookup.PackInfo) (key crypto.SessionKey, err error) {
	opener, err := s.opener(p.Kind)
	if err != nil {
		return key, err
	}
	if key, err = opener.SessionKey(p.Session); err != nil {
		return key, err
	}
	if key.Proof(p.Owner) != p.Proof {
		return key, fmt.Errorf("nothing proves that it is a pack of host %q: %w", p.Owner, crypto.ErrIntegrity)
	}
	return key, nil
}

// TrySession reports why a pack's session key does not open with the keys at hand; nil if it does.
func (s *Objects) TrySession(p *lookup.PackInfo) error {
	_, err := s.SessionKey(p)
	return err
}

// PackSealer returns what seals packs of a kind.
func (s *Objects) PackSealer(kind pack.Kind, signer *crypto.Key) (*crypto.Sealer, error) {
	recipient, err := s.keys.MetadataKey()
	if kind == pack.Content {
		recipient, err = s.keys.ContentKey()
	}
	if err != nil {
		return nil, err
	}
	sealer, err := crypto.NewSealer(recipient, signer, s.binding(kind.String()), s.options.Random, s.options.Now)
	if err != nil {
		return nil, fmt.Errorf("seal %v packs: %w", kind, err)
	}
	return sealer, nil
}

// OpenPack opens a whole pack, which it overwrites: signature, directory, and the keyed hash of every chunk that has one. It returns what an index says of the pack.
// Content packs need the content key.
func (s *Objects) OpenPack(ctx context.Context, info store.Info, object []byte) (*index.Pack, error) {
	p, _, err := s.openPack(ctx, info, object)
	return p, err
}

// ReadPack reads a pack and opens it like OpenPack, and returns its plaintext, too.
func (s *Objects) ReadPack(ctx context.Context, info store.Info) (p *index.Pack, plain []byte, err error) {
	object, err := store.ReadAll(ctx, s.store, info.Name, MaxPack)
	if err != nil {
		return nil, nil, err
	}
	return s.openPack(ctx, info, object)
}

func (s *Objects) openPack(ctx context.Context, info store.Info, object []byte) (*index.Pack, []byte, error) {
	name, _, _ := strings.Cut(info.Name, "/")
	sum := sha256.Sum256(object)
	if Name(name, sum) != info.Name {
		return nil, nil, fmt.Errorf("its bytes do not have that hash: %w", crypto.ErrIntegrity)
	}
	kind := pack.Metadata
	if name == pack.Content.String() {
		kind = pack.Content
	}
	opener, err := s.opener(kind)
	if err != nil {
		return nil, nil, err
	}
	at, err := store.HomeTime(ctx, s.store, info)
	if err != nil {
		return nil, nil, err
	}
	// Opening overwrites what the spans are hashed over.
	stored := append([]byte(nil), object...)
	opened, err := opener.Open(object, s.Signers(name), s.binding(name), at)
	if errors.Is(err, crypto.ErrNotInForce) {
		if first := s.FirstStored(ctx, info); first.Before(at) {
			opened, err = opener.Open(append([]byte(nil), stored...), s.Signers(name), s.binding(name), first)
		}
	}
	if err == nil {
		err = s.Disowned(opened.Signer, sum)
	}
	if err != nil {
		return nil, nil, err
	}
	d, err := pack.Parse(opened.Plain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	if d.Kind.String() != name {
		return nil, nil, fmt.Errorf("it says that it is a %v pack: %w", d.Kind, crypto.ErrIntegrity)
	}
	if err := s.checkOwner(opened.Signer, d.Owner); err != nil {
		return nil, nil, err
	}
	p := Indexed(sum, stored, opened.Envelope, opened.Key, d)
	p.Session = append([]byte(nil), p.Session...)
	offset := int64(0)
	for _, f := range d.Frames {
		data, err := s.Decompress(nil, opened.Plain[offset:offset+int64(f.Stored)], f.Plain)
		if err != nil {
			return nil, nil, err
		}
		if err := s.CheckBlobs(data, f); err != nil {
			return nil, nil, err
		}
		offset += int64(f.Stored)
	}
	return &p, opened.Plain, nil
}

// Indexed returns what an index says of a pack with this hash, as it is stored. It shares memory with the envelope.
func Indexed(id index.ObjectID, object []byte, e crypto.Envelope, key crypto.SessionKey, d pack.Directory) index.Pack {
	p := index.Pack{
		ID: id, Size: int64(len(object)), Session: e.Session, Proof: key.Proof(d.Owner),
		Directory: d, Hashes: make([][32]byte, len(d.Frames)),
	}
	offset := int64(0)
	for i, f := range d.Frames {
		start, length := e.Span(offset, int64(f.Stored))
		p.Hashes[i] = sha256.Sum256(object[start : start+length])
		offset += int64(f.Stored)
	}
	return p
}

// Decompress returns the plaintext of a frame, of which the length is known; buf's memory is used if it suffices.
func (s *Objects) Decompress(buf, frame []byte, plain int) ([]byte, error) {
	d, err := s.decompressor()
	if err != nil {
		return nil, err
	}
	defer s.decompressors.Put(d)
	data, err := d.Frame(buf, frame, plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return data, nil
}

// CheckBlobs compares the chunks of a frame with their keyed hashes, as far as they have one.
func (s *Objects) CheckBlobs(data []byte, f pack.Frame) error {
	content, metadata := s.Namer(), chunk.NewNamer(s.config.secret, chunk.Metadata)
	for _, b := range f.Blobs {
		namer := metadata
		switch b.Type {
		case pack.WholeContent:
			namer = content
		case pack.WholeTree, pack.WholeList:
		default: // named after what it rebuilds or describes
			namer = nil
		}
		if namer != nil && namer.ID(data[:b.Length]).Key() != b.Key {
			return fmt.Errorf("chunk %x does not have that keyed hash: %w", b.Key, crypto.ErrIntegrity)
		}
		data = data[b.Length:]
	}
	return nil
}

// CheckFrames compares a pack's frames with what its index says of their stored bytes, and returns which differ. It needs no key.
func CheckFrames(object []byte, p *index.Pack) (damaged []int) {
	e := crypto.EnvelopeOf(p.Session)
	offset := int64(0)
	for i, f := range p.Directory.Frames {
		start, length := e.Span(offset, int64(f.Stored))
		if start+length > int64(len(object)) || sha256.Sum256(object[start:start+length]) != p.Hashes[i] {
			damaged = append(damaged, i)
		}
		offset += int64(f.Stored)
	}
	return damaged
}

// decompressRecord returns the content of a record of a kind, which has no more than such a one may have.
func (s *Objects) decompressRecord(kind string, plain []byte) ([]byte, error) {
	d, err := s.decompressor()
	if err != nil {
		return nil, err
	}
	defer s.decompressors.Put(d)
	content, err := d.Record(plain, recordMax(kind, len(plain)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return content, nil
}

func (s *Objects) decompressor() (*pack.Decompressor, error) {
	switch d := s.decompressors.Get().(type) {
	case *pack.Decompressor:
		return d, nil
	case error:
		return nil, d
	default:
		return nil, fmt.Errorf("decompressor of type %T", d)
	}
}
