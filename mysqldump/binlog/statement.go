package binlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"nightjar/internal/wire"
)

// A Statement is the text of a statement in a log, in the bytes of its client's character set.
type Statement struct {
	At       uint64 // where its event begins
	Thread   uint32 // the session that ran it, as the server called it; 0 if the log does not say
	Database string // its default database
	Text     string
	Error    uint16 // with which it ended on its server
	Rows     bool   // it stands there for people to read: what counts is the rows after it
}

// Statement parses Query, QueryCompressed and ExecuteLoadQuery, and what a log says of the statement that changed rows:
// RowsQuery and AnnotateRows.
func (e *Event) Statement() (s Statement, err error) {
	body := e.Body()
	switch e.Type {
	case Query, QueryCompressed:
		s, err = parseQuery(body, 0, e.Type == QueryCompressed)
	case ExecuteLoadQuery:
		const more = 13 // file, two places in the text, and what becomes of duplicates
		s, err = parseQuery(body, more, false)
	case RowsQuery:
		if len(body) == 0 {
			err = wire.ErrTruncated
		} else {
			s = Statement{Text: string(body[1:]), Rows: true} // a length that is cut to a byte comes before
		}
	case AnnotateRows:
		s = Statement{Text: string(body), Rows: true}
	default:
		err = errors.New("it has no statement")
	}
	if err != nil {
		return Statement{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	s.At = e.At
	return s, nil
}

// parseQuery parses thread, time, length of the database, error and length of variables, then more bytes, and these.
func parseQuery(body []byte, more int, compressed bool) (s Statement, err error) {
	r := wire.NewReader(body)
	s.Thread = r.Uint32()
	r.Uint32()
	database := int(r.Byte())
	s.Error = uint16At(&r)
	variables := int(uint16At(&r))
	r.Bytes(more)
	r.Bytes(variables)
	s.Database = string(r.Bytes(database))
	if end := r.Byte(); r.Err() == nil && end != 0 {
		return s, errors.New("its database does not end where it should")
	}
	text := r.Rest()
	if err := r.Err(); err != nil {
		return s, err
	}
	if compressed {
		if text, err = inflate(text); err != nil {
			return s, err
		}
	}
	s.Text = string(text)
	return s, nil
}

func uint16At(r *wire.Reader[[]byte]) uint16 {
	var b [2]byte
	r.Into(b[:])
	return binary.LittleEndian.Uint16(b[:])
}

// maxText is how many bytes the text of a compressed statement may have.
const maxText = 64 << 20

// inflate undoes MariaDB's compression: a byte with the kind and how many bytes the length has, the length with its
// highest byte first, and the stream of zlib.
func inflate(b []byte) ([]byte, error) { return inflateMost(b, maxText) }

func inflateMost(b []byte, most int) ([]byte, error) {
	if len(b) == 0 {
		return nil, wire.ErrTruncated
	}
	kind, more := b[0]>>4&7, int(b[0]&7)
	if b[0]&0x80 == 0 || kind != 0 || more < 1 || more > 4 || len(b) < 1+more {
		return nil, errors.New("it is compressed in a way that nobody knows")
	}
	size := 0
	for _, digit := range b[1 : 1+more] {
		size = size<<8 | int(digit)
	}
	if size > most {
		return nil, fmt.Errorf("it has %d bytes, more than %d", size, most)
	}
	z, err := zlib.NewReader(bytes.NewReader(b[1+more:]))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err == nil && len(text) != size {
		err = fmt.Errorf("it has more or fewer than %d bytes", size)
	}
	return text, err
}

// A Table is the table of the rows that follow, as TableMap says.
type Table struct {
	ID             uint64 // by which the rows name it
	Database, Name string
}

// Table parses a TableMap.
func (e *Event) Table() (t Table, err error) {
	r := wire.NewReader(e.Body())
	if e.Type != TableMap {
		r.Fail(errors.New("it has no table"))
	}
	t.ID = uint48At(&r)
	r.Bytes(2)
	t.Database = string(r.Bytes(int(r.Byte())))
	end := r.Byte()
	t.Name = string(r.Bytes(int(r.Byte()))) // a name has 192 bytes at most
	if end |= r.Byte(); end != 0 {
		r.Fail(errors.New("a name does not end where it should"))
	}
	if err := r.Err(); err != nil {
		return Table{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return t, nil
}

func uint48At(r *wire.Reader[[]byte]) uint64 {
	var b [8]byte
	r.Into(b[:6])
	return binary.LittleEndian.Uint64(b[:])
}

// A Rows is what comes before the rows of a table.
type Rows struct {
	Table     uint64 // the ID of its TableMap
	Statement bool   // the last of its statement
}

// Rows parses the beginning of an event that has rows.
func (e *Event) Rows() (rows Rows, err error) {
	const lastOfStatement = 1
	r := wire.NewReader(e.Body())
	if !e.Type.IsRows() {
		r.Fail(errors.New("it has no rows"))
	}
	rows.Table = uint48At(&r)
	rows.Statement = uint16At(&r)&lastOfStatement != 0
	if err := r.Err(); err != nil {
		return Rows{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return rows, nil
}

// A Payload is a transaction that MySQL has compressed.
type Payload struct {
	Kind byte   // 0: zstd; 255: not compressed
	Size uint64 // bytes of its events
	Data []byte // of the event
}

// Payload parses a TransactionPayload: fields with type and length before each, up to a type of 0.
func (e *Event) Payload() (p Payload, err error) {
	const end, size, kind, plain = 0, 1, 2, 3
	r := wire.NewReader(e.Body())
	if e.Type != TransactionPayload {
		r.Fail(errors.New("it has no payload"))
	}
	length := uint64(0)
	for r.Err() == nil {
		field := lengthEncoded(&r)
		if field == end {
			break
		}
		n := lengthEncoded(&r)
		if n > uint64(r.Left()) {
			r.Fail(wire.ErrTruncated)
			break
		}
		value := wire.NewReader(r.Bytes(int(n)))
		switch field {
		case size:
			length = lengthEncoded(&value)
		case kind:
			p.Kind = byte(lengthEncoded(&value))
		case plain:
			p.Size = lengthEncoded(&value)
		}
		if err := value.Err(); err != nil {
			r.Fail(err)
		}
	}
	if p.Data = r.Rest(); r.Err() == nil && uint64(len(p.Data)) != length {
		r.Fail(fmt.Errorf("it says that it has %d bytes, and has %d", length, len(p.Data)))
	}
	if err := r.Err(); err != nil {
		return Payload{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return p, nil
}

// lengthEncoded takes a number off the front as the protocol writes it: a byte, or 2, 3 or 8 after a mark.
func lengthEncoded(r *wire.Reader[[]byte]) uint64 {
	first := r.Byte()
	more := 0
	switch first {
	case 0xfc:
		more = 2
	case 0xfd:
		more = 3
	case 0xfe:
		more = 8
	case 0xfb, 0xff:
		r.Fail(errors.New("a length that is none"))
	default:
		return uint64(first)
	}
	var b [8]byte
	r.Into(b[:more])
	return binary.LittleEndian.Uint64(b[:])
}

// says reports whether a statement begins with words, whatever its letters' case and the white space between.
func says(text string, words ...string) bool {
	for _, word := range words {
		text = strings.TrimLeft(text, " \t\r\n")
		if len(text) < len(word) || !strings.EqualFold(text[:len(word)], word) {
			return false
		}
		text = text[len(word):]
		if text != "" && (text[0] == '_' || text[0] >= '0' && text[0] <= '9' || text[0]|0x20 >= 'a' && text[0]|0x20 <= 'z') {
			return false
		}
	}
	return true
}
