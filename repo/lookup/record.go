package lookup

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"nightjar/chunk"
	"nightjar/internal/wire"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// A pack's record, in memory and in files:
//
//	number 4, source 4            of this record; of the index object in the table of sources
//	id 32, kind 1
//	run uvarint                   of the index object
//	size uvarint
//	session str
//	proof 16
//	frames uvarint, then for each: stored, plain uvarint, hash 32
//	CRC-32C 4                     of all before; the number in it catches a wrong offset too
const (
	minRecord = 4 + 4 + 32 + 1 + 4 + index.ProofSize + 4
	maxRecord = 4 << 20 // 65,535 frames and more
)

// A packTable is a decoded record.
type packTable struct {
	info   PackInfo
	frames []frame
}

type frame struct {
	offset        int64 // in the pack's plaintext
	stored, plain int
	hash          [32]byte
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendRecord appends the record of a pack of a run, without number, source and checksum: renumber sets them.
func appendRecord(b []byte, run int, p *index.Pack) []byte {
	b = append(b, make([]byte, 8)...)
	b = append(b, p.ID[:]...)
	b = append(b, byte(p.Directory.Kind))
	b = binary.AppendUvarint(b, uint64(run))
	b = binary.AppendUvarint(b, uint64(p.Size))
	b = wire.AppendSized(b, p.Session)
	b = append(b, p.Proof[:]...)
	b = binary.AppendUvarint(b, uint64(len(p.Directory.Frames)))
	for i, f := range p.Directory.Frames {
		b = binary.AppendUvarint(b, uint64(f.Stored))
		b = binary.AppendUvarint(b, uint64(f.Plain))
		b = append(b, p.Hashes[i][:]...)
	}
	return append(b, make([]byte, 4)...)
}

func renumber(record []byte, number, source uint32) {
	binary.LittleEndian.PutUint32(record, number)
	binary.LittleEndian.PutUint32(record[4:], source)
	body := len(record) - 4
	binary.LittleEndian.PutUint32(record[body:], checksum(record[:body]))
}

// sourceOf returns the source of an intact record with this number.
func sourceOf(record []byte, number uint32) (source uint32, ok bool) {
	if len(record) < minRecord {
		return 0, false
	}
	body := len(record) - 4
	if binary.LittleEndian.Uint32(record) != number || binary.LittleEndian.Uint32(record[body:]) != checksum(record[:body]) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(record[4:]), true
}

// parseHead decodes the beginning of a record that sourceOf found intact.
func parseHead(record []byte) (p FrozenPack, run int, ok bool) {
	r := wire.NewReader(record[8 : len(record)-4])
	r.Into(p.ID[:])
	p.Kind = pack.Kind(r.Byte())
	run = r.Int(index.MaxRuns)
	p.Size = int32(r.Int(index.MaxSize))
	return p, run, r.Err() == nil
}

// parseRecord decodes a record that sourceOf found intact.
func parseRecord(record []byte, origin Origin) (*packTable, bool) {
	r := wire.NewReader(record[8 : len(record)-4])
	t := &packTable{info: PackInfo{Origin: origin}}
	r.Into(t.info.ID[:])
	t.info.Kind = pack.Kind(r.Byte())
	r.Int(index.MaxRuns) // the run's number
	said := sha256.New()
	said.Write(append(t.info.ID[:], byte(t.info.Kind), byte(len(origin.Owner))))
	said.Write([]byte(origin.Owner))
	said.Write(r.Rest())
	copy(t.info.Layout[:], said.Sum(nil))
	t.info.Size = int64(r.Int(index.MaxSize))
	t.info.Session = append([]byte(nil), r.Sized(index.MaxSession)...)
	r.Into(t.info.Proof[:])
	t.frames = make([]frame, r.Count(pack.MaxFrames, 1+1+32))
	var offset int64
	for i := range t.frames {
		f := &t.frames[i]
		f.offset, f.stored, f.plain = offset, r.Int(pack.MaxPlain), r.Int(chunk.MaxSize)
		r.Into(f.hash[:])
		offset += int64(f.stored)
	}
	return t, r.End() == nil
}

// InfoOf returns what is known of a pack when somebody has said it.
func InfoOf(p *index.Pack, from Origin) *PackInfo {
	t, _ := parseRecord(appendRecord(nil, 0, p), from) // which only a broken file makes fail
	return &t.info
}
