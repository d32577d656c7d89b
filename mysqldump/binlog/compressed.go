package binlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"nightjar/internal/wire"
)

// maxRows is how many bytes the rows of a compressed event may have.
const maxRows = 1 << 30

// Expand returns an event of rows that MariaDB has compressed as it is without: numbers, flags and columns stay, and the
// rows after them are compressed as statements are. Other events are returned as they are.
func (e *Event) Expand() (Event, error) {
	var kind Type
	switch {
	case e.Type >= WriteRowsCompressedV1 && e.Type <= DeleteRowsCompressedV1:
		kind = e.Type - WriteRowsCompressedV1 + WriteRowsV1
	case e.Type >= WriteRowsCompressed && e.Type <= DeleteRowsCompressed:
		kind = e.Type - WriteRowsCompressed + WriteRows
	default:
		return *e, nil
	}
	out, err := e.expand(kind)
	if err != nil {
		return Event{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return out, nil
}

func (e *Event) expand(kind Type) (out Event, err error) {
	body := e.Body()
	r := wire.NewReader(body)
	r.Bytes(6 + 2) // number of the table, flags
	if kind >= WriteRows {
		r.Bytes(max(0, int(uint16At(&r))-2)) // more, with the length before it
	}
	columns := lengthEncoded(&r)
	const most = 4096 // columns of a table
	if columns > most {
		return out, fmt.Errorf("it has %d columns", columns)
	}
	bits := int(columns+7) / 8
	if r.Bytes(bits); kind == UpdateRowsV1 || kind == UpdateRows {
		r.Bytes(bits)
	}
	if err := r.Err(); err != nil {
		return out, err
	}
	rows, err := inflateMost(r.Rest(), maxRows)
	if err != nil {
		return out, err
	}
	head := headerSize + len(body) - r.Left()
	raw := append(append(make([]byte, 0, head+len(rows)+checksumSize), e.Raw[:head]...), rows...)
	raw[4] = byte(kind)
	size := len(raw)
	if e.checked {
		size += checksumSize
	}
	binary.LittleEndian.PutUint32(raw[9:], uint32(size))
	if e.checked {
		raw = binary.LittleEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	}
	out = *e
	out.Type, out.Raw = kind, raw
	return out, nil
}
