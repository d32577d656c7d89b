package replay

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"

	"nightjar/mysqldump/binlog"
)

const (
	headerBytes   = 19
	checksumBytes = 4
	lastInRows    = 1               // the bit of a rows event that ends its statement
	rowsFlags     = headerBytes + 6 // where in a rows event the bits are, after the number of its table
)

// A batch gathers events for BINLOG statements. A server closes its tables at the end of each, so that the events of rows
// go with the tables that they are of.
type batch struct {
	limit  int    // bytes of events for one BINLOG
	events []byte // tables and rows
	tables []byte // the events of tables since the last statement ended
	rows   bool   // there are some in events
}

// add adds an event of a table or of rows. It returns what is to be sent before, if that does not go together.
func (b *batch) add(e *binlog.Event, summed bool) (full []byte, err error) {
	if e.Type == binlog.TableMap {
		b.tables = append(b.tables, e.Raw...)
		b.events = append(b.events, e.Raw...)
		return nil, nil
	}
	if len(e.Raw) < rowsFlags+2 {
		return nil, errors.New("an event of rows is too short")
	}
	if b.rows && len(b.events)+len(e.Raw) > b.limit {
		full = b.take(summed)
		b.events = append(b.events, b.tables...)
	}
	b.events = append(b.events, e.Raw...)
	b.rows = true
	if ends := e.Raw[rowsFlags]&lastInRows != 0; ends {
		b.tables = b.tables[:0]
	}
	return full, nil
}

// take empties the batch.
func (b *batch) take(summed bool) []byte {
	out := endStatement(b.events, summed)
	b.events, b.rows = nil, false
	return out
}

// endStatement has the last of some events end its statement, as it must where others of it go separately.
func endStatement(events []byte, summed bool) []byte {
	last := 0
	for at := 0; at+headerBytes <= len(events); {
		last = at
		at += int(binary.LittleEndian.Uint32(events[at+9:]))
	}
	if e := events[last:]; len(e) > rowsFlags+checksumBytes && binlog.Type(e[4]).IsRows() && e[rowsFlags]&lastInRows == 0 {
		e[rowsFlags] |= lastInRows
		if summed {
			sum(e)
		}
	}
	return events
}

// sum writes an event's checksum.
func sum(event []byte) {
	end := len(event) - checksumBytes
	binary.LittleEndian.PutUint32(event[end:], crc32.ChecksumIEEE(event[:end]))
}

// statement returns the BINLOG that applies events.
func statement(events []byte) string {
	const before, after = "BINLOG '", "'"
	out := make([]byte, 0, len(before)+base64.StdEncoding.EncodedLen(len(events))+len(after))
	out = append(out, before...)
	out = base64.StdEncoding.AppendEncode(out, events)
	return string(append(out, after...))
}

// withoutSums returns a format description for events that have no checksums, as those inside of a compressed transaction.
func withoutSums(format []byte) []byte {
	out := append([]byte(nil), format...)
	out[len(out)-checksumBytes-1] = 0
	sum(out)
	return out
}

// maxPayload is how many bytes the events of a compressed transaction may have.
const maxPayload = 1 << 30

// unpack calls f with the events of a compressed transaction.
func unpack(e *binlog.Event, f func(*binlog.Event) error) error {
	const plain, zstandard = 255, 0
	p, err := e.Payload()
	if err != nil {
		return err
	}
	if p.Size > maxPayload {
		return fmt.Errorf("its events have %d bytes, which is out of bounds", p.Size)
	}
	inside := p.Data
	switch p.Kind {
	case plain:
	case zstandard:
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload))
		if err != nil {
			return err
		}
		defer z.Close()
		if inside, err = z.DecodeAll(p.Data, nil); err != nil {
			return fmt.Errorf("decompress its events: %w", err)
		}
	default:
		return fmt.Errorf("its events are compressed in a way that nobody knows: %d", p.Kind)
	}
	for len(inside) > 0 {
		h, err := binlog.ParseHeader(inside)
		if err != nil || int64(h.Size) < headerBytes || int64(h.Size) > int64(len(inside)) {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		inner := binlog.Event{Type: h.Type, Flags: h.Flags, At: e.At, Next: e.Next, Time: e.Time, ServerID: h.ServerID, Raw: inside[:h.Size]}
		if err := f(&inner); err != nil {
			return err
		}
		inside = inside[h.Size:]
	}
	return nil
}

// unfitInside returns why a compressed transaction cannot be replayed, if so.
func unfitInside(e *binlog.Event) error { return unpack(e, unfit) }
