package lookup

import (
	"cmp"
	"encoding/binary"

	"nightjar/chunk"
	"nightjar/repo/pack"
)

// An entry is one blob. On disk:
//
//	key 16, pack 4, source 3, type 1, frame 2, offset 3, length 3
//
// The source is that of the pack too; it stands here so that Has needs no record.
type entry struct {
	key            chunk.Key
	pack, source   uint32
	offset, length uint32
	frame          uint16
	typ            pack.Type
	number         int64 // in its segment, by its place there
}

const (
	entrySize  = 32
	maxSources = 1<<24 - 1 // in one file
)

func (e *entry) put(b []byte) {
	copy(b, e.key[:])
	binary.LittleEndian.PutUint32(b[16:], e.pack)
	put24(b[20:], e.source)
	b[23] = byte(e.typ)
	binary.LittleEndian.PutUint16(b[24:], e.frame)
	put24(b[26:], e.offset)
	put24(b[29:], e.length)
}

func parseEntry(b []byte) entry {
	return entry{
		key:    chunk.Key(b[:16]),
		pack:   binary.LittleEndian.Uint32(b[16:]),
		source: get24(b[20:]),
		typ:    pack.Type(b[23]),
		frame:  binary.LittleEndian.Uint16(b[24:]),
		offset: get24(b[26:]),
		length: get24(b[29:]),
	}
}

func put24(b []byte, v uint32) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }

func get24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

func prefixOf(k *chunk.Key) uint64 { return binary.BigEndian.Uint64(k[:8]) }

func compareKeys(a, b *chunk.Key) int {
	if c := cmp.Compare(prefixOf(a), prefixOf(b)); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]))
}
