package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Reader reads the events of a log's file. After an error it returns that error again.
type Reader struct {
	r       io.Reader
	d       Decoder
	buf     bytes.Buffer
	most    int64
	started bool
	secret  bool // the event before says that what follows is encrypted
	err     error
}

// NewReader returns a Reader of a file, from its beginning. The file is read in small pieces.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, most: MaxEvent} }

// ResumeReader returns a Reader of the rest of a file, from an offset on where an event begins. First is the file's first
// event.
func ResumeReader(rest io.Reader, first []byte, at uint64) (*Reader, error) {
	r := NewReader(rest)
	r.started = true
	return r, r.d.Resume(first, at)
}

// Limit sets how many bytes an event may have, if that is less than MaxEvent. An event that has more is an error.
func (r *Reader) Limit(most int64) { r.most = min(most, MaxEvent) }

// At returns where the next event begins, and where the one that could not be read does: the file is whole up to there.
func (r *Reader) At() uint64 { return r.d.At() }

// Format returns what the first event said, once it was read.
func (r *Reader) Format() Format { return r.d.Format() }

// Next returns the next event, which is valid until the call after. The error is io.EOF after the last one, and
// io.ErrUnexpectedEOF in what follows a part of one, as it may stand at the end of a log that is being written.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}
	e, err := r.next()
	if err != nil && err != io.EOF && r.secret { // in a log that a server has sent, what follows is in plain
		err = fmt.Errorf("read binary log: %w", ErrEncrypted)
	}
	r.err, r.secret = err, e.Type == StartEncryption
	return e, err
}

func (r *Reader) next() (e Event, err error) {
	if !r.started {
		var magic [Start]byte
		_, err := io.ReadFull(r.r, magic[:])
		switch {
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
			fallthrough
		case err != nil:
			return e, fmt.Errorf("read binary log: %w", err)
		case string(magic[:]) == magicEncrypted:
			return e, fmt.Errorf("read binary log: %w", ErrEncrypted)
		case string(magic[:]) != Magic:
			return e, errors.New("read binary log: it does not begin as one")
		}
		r.started = true
	}
	r.buf.Reset()
	if _, err := io.CopyN(&r.buf, r.r, headerSize); err != nil {
		if err == io.EOF && r.buf.Len() == 0 {
			return e, io.EOF
		}
		return e, r.broken(err)
	}
	h, err := ParseHeader(r.buf.Bytes())
	if err != nil {
		return e, err
	}
	if h.Size < headerSize || int64(h.Size) > r.most {
		return e, fmt.Errorf("read event at offset %d: %v: %d bytes are out of bounds", r.d.At(), h.Type, h.Size)
	}
	if _, err := io.CopyN(&r.buf, r.r, int64(h.Size)-headerSize); err != nil { // which takes memory as bytes come
		return e, r.broken(err)
	}
	return r.d.Decode(r.buf.Bytes())
}

func (r *Reader) broken(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read event at offset %d: %w", r.d.At(), err)
}
