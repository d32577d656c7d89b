// Package index is the codec of index objects, in which a repository keeps, under a signature, which pack and frame holds which
// chunk: see doc/format.md, section 6. It joins several into one, too.
//
// The invariants: Append writes what ParseObject reads, and that is the one encoding of it; what was parsed is within bounds,
// and takes memory in proportion to the encoding.
//
// The package does not seal, sign or store, nor judge signers. Where a chunk is, package lookup says.
package index

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/chunk"
	"nightjar/internal/wire"
	"nightjar/repo/pack"
)

// Limits of the format.
const (
	MaxSession = 2048     // bytes of a session-key packet: as many as crypto opens
	MaxSize    = 64 << 20 // bytes of any object
	MaxRuns    = 1 << 16  // runs of an object

	objectMagic = "NJI0"
	maxExtra    = 1 << 10
	maxReplaces = 1 << 16
	minRun      = 1 + 1 + 1 + 1 + 1
	minPack     = 32 + 1 + 1 + ProofSize + 1 + 4
	afterKey    = 7 + 45 // bytes between a pack's session-key packet and its data
)

// MaxObject is how many bytes an index object has at most. Writers begin another long before that.
const MaxObject = 32 << 20

// MaxPlain returns how many bytes an index object of which so many are stored has at most. Keys and hashes, which are most of it, do not compress: so
// memory is in proportion to what somebody had to store.
func MaxPlain(stored int) int { return min(64<<10+8*stored, MaxObject) }

// ProofSize is the length of a Proof, in bytes.
const ProofSize = 16

// A Proof shows to who can open a pack that who named its owner could, too.
type Proof [ProofSize]byte

// ObjectID is the SHA-256 in the name of an object.
type ObjectID [32]byte

// String returns the ObjectID as 64 lower-case hex digits.
func (id ObjectID) String() string { return hex.EncodeToString(id[:]) }

// ParseObjectID parses what String printed, and nothing else.
func ParseObjectID(s string) (ObjectID, error) {
	id, err := chunk.ParseID(s)
	return ObjectID(id), err
}

// MarshalText returns what String does.
func (id ObjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses what String printed.
func (id *ObjectID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseObjectID(string(text))
	return err
}

// A Pack is what an index object says of one stored pack.
type Pack struct {
	ID        ObjectID
	Size      int64  // bytes of the object
	Session   []byte // its session-key packet
	Proof     Proof  // that it is the owner's
	Directory pack.Directory
	Hashes    [][32]byte // SHA-256 of each frame's span
}

// A Run is packs that one index object held first.
type Run struct {
	Owner string    // name of the host whose packs they are
	Begin time.Time // store time of the first view of the backup that sent them; zero if it was none
	Time  time.Time // store time of that index object; zero: the time of the object that this run stands in
	Packs []Pack    // each of this owner
	Extra []byte    // what later versions say of the run; kept as it is
}

// RunsOf returns runs of packs that no backup has sent now: one of each owner, in the order of the packs.
func RunsOf(packs []Pack) []Run {
	var runs []Run
	number := map[string]int{}
	for _, p := range packs {
		n, ok := number[p.Directory.Owner]
		if !ok {
			n = len(runs)
			number[p.Directory.Owner], runs = n, append(runs, Run{Owner: p.Directory.Owner})
		}
		runs[n].Packs = append(runs[n].Packs, p)
	}
	return runs
}

// An Object is the content of an index object.
type Object struct {
	Time     time.Time  // the store's, from its last answer before the object was sealed
	Replaces []ObjectID // index objects of the same signer that this one stands for
	Runs     []Run      // 1 to 65,536
}

// Append appends the object's encoding to b.
func (o *Object) Append(b []byte) []byte {
	b = append(b, objectMagic...)
	b = wire.AppendTime(b, o.Time)
	b = binary.AppendUvarint(b, uint64(len(o.Replaces)))
	for _, id := range o.Replaces {
		b = append(b, id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(o.Runs)))
	var directory []byte
	for _, run := range o.Runs {
		b = wire.AppendTime(wire.AppendTime(wire.AppendSized(b, []byte(run.Owner)), run.Begin), run.Time)
		b = wire.AppendSized(b, run.Extra)
		b = binary.AppendUvarint(b, uint64(len(run.Packs)))
		for _, p := range run.Packs {
			b = append(b, p.ID[:]...)
			b = binary.AppendUvarint(b, uint64(p.Size))
			b = wire.AppendSized(b, p.Session)
			b = append(b, p.Proof[:]...)
			directory = p.Directory.Append(directory[:0])
			b = wire.AppendSized(b, directory)
			for _, h := range p.Hashes {
				b = append(b, h[:]...)
			}
		}
	}
	return b
}

// ParseObject parses what Append made, and nothing else. The result shares b's memory.
func ParseObject(b []byte) (Object, error) {
	o, err := parseObject(b)
	if err != nil {
		return Object{}, fmt.Errorf("parse index object: %w", err)
	}
	return o, nil
}

func parseObject(b []byte) (o Object, err error) {
	if len(b) > MaxObject {
		return o, fmt.Errorf("%d bytes are out of bounds", len(b))
	}
	r := wire.NewReader(b)
	if string(r.Bytes(len(objectMagic))) != objectMagic {
		return o, errors.New("unknown magic")
	}
	o.Time = r.Time()
	o.Replaces = make([]ObjectID, r.Count(maxReplaces, len(ObjectID{})))
	for i := range o.Replaces {
		r.Into(o.Replaces[i][:])
	}
	o.Runs = make([]Run, r.Count(MaxRuns, minRun))
	for i := range o.Runs {
		if err := o.Runs[i].parse(&r); err != nil {
			return o, err
		}
	}
	if len(o.Runs) == 0 {
		r.Fail(errors.New("no runs"))
	}
	return o, r.End()
}

func (run *Run) parse(r *wire.Reader[[]byte]) error {
	run.Owner = string(r.Sized(pack.MaxOwner))
	run.Begin, run.Time = r.Time(), r.Time()
	run.Extra = slices.Clip(r.Sized(maxExtra))
	run.Packs = make([]Pack, r.Count(MaxObject, minPack))
	for i := range run.Packs {
		p := &run.Packs[i]
		if err := p.parse(r); err != nil {
			return err
		}
		if p.Directory.Owner != run.Owner {
			return fmt.Errorf("pack %s of %q is in a run of %q", p.ID, p.Directory.Owner, run.Owner)
		}
	}
	return r.Err()
}

func (p *Pack) parse(r *wire.Reader[[]byte]) error {
	r.Into(p.ID[:])
	p.Size = int64(r.Int(MaxSize))
	p.Session = slices.Clip(r.Sized(MaxSession))
	r.Into(p.Proof[:])
	directory := r.Sized(MaxObject)
	if r.Err() != nil {
		return r.Err()
	}
	var err error
	if p.Directory, err = pack.ParseDirectory(directory); err != nil {
		return fmt.Errorf("pack %s: %w", p.ID, err)
	}
	if len(p.Directory.Frames)*len([32]byte{}) > r.Left() {
		r.Fail(wire.ErrTruncated)
		return r.Err()
	}
	p.Hashes = make([][32]byte, len(p.Directory.Frames))
	for i := range p.Hashes {
		r.Into(p.Hashes[i][:])
	}
	return p.Check()
}

// Check returns an error unless the parts of p add up, so that no span lies outside its pack.
func (p *Pack) Check() error {
	end := int64(len(p.Session) + afterKey)
	for _, f := range p.Directory.Frames {
		end += int64(f.Stored)
	}
	switch {
	case len(p.Hashes) != len(p.Directory.Frames):
		return fmt.Errorf("pack %s: %d hashes for %d frames", p.ID, len(p.Hashes), len(p.Directory.Frames))
	case p.Size < end, p.Size > MaxSize, len(p.Session) > MaxSession:
		return fmt.Errorf("pack %s: its parts do not add up", p.ID)
	}
	return nil
}
