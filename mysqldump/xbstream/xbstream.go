// Package xbstream reads the stream in which mariadb-backup and xtrabackup send the files of a data directory.
//
// The stream is a sequence of chunks, each with the path of its file. Chunks of several files are interleaved. A chunk of
// payload continues its file, a last one ends it. All numbers are little-endian:
//
//	8 bytes  magic "XBSTCK01"
//	1 byte   flags; 0x01: may be skipped where its type is not known; 0x02: the file takes the place of one that has ended
//	1 byte   type: P payload, S payload with holes (xtrabackup's), E end of the file, D the file was dropped, R it was renamed
//	         (both MariaDB's, of tables that know no transactions)
//	4 bytes  length of the path; the path. An end has no more than that, nor has a drop
//	4 bytes  length of the new path; the new path: of type R alone, which has no more than that
//	4 bytes  number of entries in the map of holes: of type S alone
//	8 bytes  length of the payload
//	8 bytes  offset of the payload in its file
//	4 bytes  CRC-32 (IEEE) of map and payload
//	         the map: for each entry 4 bytes that are skipped and 4 bytes that follow out of the payload; the payload
//
// Sources: MariaDB's extra/mariabackup/xbstream.h with xbstream_read.cc and xbstream_write.cc, Percona's description
// "xbstream file format", and the streams of mariadb-backup 10.11.19 and 11.8.9, which have R and D. MariaDB's source has a
// chunk that goes back in a file, too, whose type is S as well: no program was seen to write one, and it is refused.
//
// The invariant: what is read continues its file at the offset that the stream names, and a File is closed only if its end was
// read and every checksum was right. The package allocates nothing by a length of the stream that it has not bounded, and does
// not know what is in the files.
package xbstream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strings"
)

const (
	magic      = "XBSTCK01"
	maxPath    = 512     // bytes, which the tools have too
	maxMap     = 1 << 17 // entries in a map of holes
	maxHoles   = 1 << 30 // bytes that one map skips
	maxOpen    = 256     // files at the same time
	maxPayload = 1 << 40 // bytes of one chunk, which are streamed

	buffered = 64 << 10  // bytes that are read ahead
	long     = 128 << 10 // bytes of payload that are handed over as a reader, so that they are not copied once more

	ignorable = 0x01
	again     = 0x02
)

// Types of chunks.
const (
	payload = 'P'
	sparse  = 'S'
	end     = 'E'
	drop    = 'D'
	rename  = 'R'
)

var (
	// ErrFormat says that what was read is no such stream, or is damaged.
	ErrFormat = errors.New("the stream is damaged")
	// ErrTruncated says that the stream ends in the middle of a chunk or of a file.
	ErrTruncated = errors.New("the stream is cut off")
)

// A File takes what is in a file, from its beginning to its end. One that is an io.ReaderFrom, too, is handed long parts as a reader.
type File interface {
	io.Writer
	// Close is called once all of the file was written.
	Close() error
	// Abort is called in place of Close when there will be no more of it.
	Abort()
}

// A Folder takes the files of a stream. Paths are relative and clean, with slashes.
type Folder interface {
	// Open begins a file, which takes the place of one that was closed under its path. Several are open at the same time.
	Open(path string) (File, error)
	// Rename gives a file that was closed another path, in the place of what was closed there.
	Rename(from, to string) error
	// Remove takes out a file that was closed.
	Remove(path string) error
}

// Read reads a stream to its end, and hands its files to a folder. At most 256 are open at the same time; all calls come from the
// caller's goroutine. When it fails, files that are open have been aborted.
func Read(r io.Reader, to Folder) error {
	d := &reader{r: bufio.NewReaderSize(r, buffered), to: to, files: map[string]*file{}, ended: map[string]bool{}}
	defer func() {
		for _, f := range d.files {
			f.to.Abort()
		}
	}()
	for {
		err := d.chunk()
		switch {
		case err == io.EOF && len(d.files) == 0:
			return nil
		case err == io.EOF:
			for name := range d.files {
				return fmt.Errorf("read stream: %w: file %q does not end", ErrTruncated, name)
			}
		case err != nil:
			return fmt.Errorf("read stream at byte %d: %w", d.at, err)
		}
	}
}

type file struct {
	to     File
	offset uint64
}

type reader struct {
	r     *bufio.Reader
	at    int64 // where in the stream the chunk begins
	next  int64
	to    Folder
	files map[string]*file
	ended map[string]bool
	holes []hole
	field [maxPath]byte
}

// chunk reads a chunk; io.EOF: there is none.
func (d *reader) chunk() error {
	d.at = d.next
	head, err := d.bytes(len(magic) + 6)
	if err != nil {
		if err == io.ErrUnexpectedEOF && d.next == d.at {
			return io.EOF
		}
		return cut(err)
	}
	if string(head[:len(magic)]) != magic {
		return fmt.Errorf("%w: it has no chunk there", ErrFormat)
	}
	flags, kind := head[8], head[9]
	length := binary.LittleEndian.Uint32(head[10:])
	name, err := d.path(length)
	if err != nil {
		return err
	}
	switch {
	case kind == end:
		return d.end(name)
	case kind == payload || kind == sparse:
		if flags&again != 0 && d.files[name] == nil {
			delete(d.ended, name)
		}
		return d.payload(name, kind)
	case kind == drop || kind == rename:
		return d.change(name, kind)
	case flags&ignorable != 0:
		return d.skip()
	}
	return fmt.Errorf("%w: a chunk of file %q has the unknown type %q", ErrFormat, name, kind)
}

// path reads a path.
func (d *reader) path(length uint32) (string, error) {
	if length == 0 || length >= maxPath {
		return "", fmt.Errorf("%w: a path has %d bytes", ErrFormat, length)
	}
	text, err := d.bytes(int(length))
	if err != nil {
		return "", cut(err)
	}
	return Clean(string(text))
}

// change renames or removes a file. That it is not there is no fault: it was renamed before it was copied.
func (d *reader) change(name string, kind byte) (err error) {
	to := ""
	if kind == rename {
		length, err := d.bytes(4)
		if err != nil {
			return cut(err)
		}
		if to, err = d.path(binary.LittleEndian.Uint32(length)); err != nil {
			return err
		}
	}
	switch {
	case d.files[name] != nil || d.files[to] != nil:
		return fmt.Errorf("%w: file %q is renamed or dropped before it ends", ErrFormat, name)
	case !d.ended[name] || name == to:
		return nil
	case kind == rename:
		err = d.to.Rename(name, to)
		d.ended[to] = true
	default:
		err = d.to.Remove(name)
	}
	delete(d.ended, name)
	return err
}

// Clean returns a path as the files of a data directory have it, and an error for one that leads out of it.
func Clean(name string) (string, error) {
	plain := path.Clean(name)
	if strings.HasPrefix(name, "/") || strings.Contains(name, "\x00") || plain == "." || !fs.ValidPath(plain) {
		return "", fmt.Errorf("%w: the path %q leads out of the data directory", ErrFormat, name)
	}
	return plain, nil
}

func (d *reader) end(name string) error {
	f := d.files[name]
	if f == nil { // of which nothing came: it is empty
		var err error
		if f, err = d.begin(name); err != nil {
			return err
		}
	}
	if err := f.to.Close(); err != nil {
		return err
	}
	delete(d.files, name)
	d.ended[name] = true
	return nil
}

func (d *reader) begin(name string) (*file, error) {
	switch {
	case d.ended[name]:
		return nil, fmt.Errorf("%w: file %q comes twice", ErrFormat, name)
	case len(d.files) == maxOpen:
		return nil, fmt.Errorf("%w: more than %d files are open at the same time", ErrFormat, maxOpen)
	}
	to, err := d.to.Open(name)
	if err != nil {
		return nil, err
	}
	f := &file{to: to}
	d.files[name] = f
	return f, nil
}

// A hole is an entry of a map: bytes that are skipped, and bytes that follow.
type hole struct{ skip, data uint64 }

func (d *reader) payload(name string, kind byte) error {
	h, err := d.header(kind)
	if err != nil {
		return err
	}
	f := d.files[name]
	if f == nil {
		if f, err = d.begin(name); err != nil {
			return err
		}
	}
	if h.offset != f.offset {
		return fmt.Errorf("%w: file %q goes on at offset %d, not at %d", ErrFormat, name, h.offset, f.offset)
	}
	for _, part := range h.parts {
		if err := zeros(f.to, part.skip); err != nil {
			return err
		}
		if err := d.copy(f.to, part.data, &h.sum); err != nil {
			return err
		}
		f.offset += part.skip + part.data
	}
	if h.sum != h.want {
		return fmt.Errorf("%w: the checksum of %d bytes at offset %d of file %q is wrong", ErrFormat, h.length, h.offset, name)
	}
	return nil
}

// header is what a chunk says of its payload.
type header struct {
	length, offset uint64
	want, sum      uint32
	parts          []hole // all of the payload
}

func (d *reader) header(kind byte) (h header, err error) {
	entries := uint32(0)
	if kind == sparse {
		b, err := d.bytes(4)
		if err != nil {
			return h, cut(err)
		}
		if entries = binary.LittleEndian.Uint32(b); entries == 0 || entries > maxMap {
			return h, fmt.Errorf("%w: a map of holes has %d entries", ErrFormat, entries)
		}
	}
	b, err := d.bytes(20)
	if err != nil {
		return h, cut(err)
	}
	h.length, h.offset, h.want = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint32(b[16:])
	if h.length > maxPayload || h.offset > 1<<62 {
		return h, fmt.Errorf("%w: %d bytes at offset %d are too much", ErrFormat, h.length, h.offset)
	}
	d.holes = d.holes[:0]
	if kind != sparse {
		d.holes = append(d.holes, hole{data: h.length})
	}
	var skipped, data uint64
	for range entries {
		b, err := d.bytes(8)
		if err != nil {
			return h, cut(err)
		}
		h.sum = crc32.Update(h.sum, crc32.IEEETable, b)
		part := hole{uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))}
		skipped, data = skipped+part.skip, data+part.data
		if skipped > maxHoles {
			return h, fmt.Errorf("%w: a map skips more than %d bytes", ErrFormat, maxHoles)
		}
		d.holes = append(d.holes, part)
	}
	if kind == sparse && data != h.length {
		return h, fmt.Errorf("%w: a map is of %d bytes, and its payload has %d", ErrFormat, data, h.length)
	}
	h.parts = d.holes
	return h, nil
}

// skip passes over what a chunk has that is laid out as payload is.
func (d *reader) skip() error {
	h, err := d.header(payload)
	if err != nil {
		return err
	}
	return d.copy(io.Discard, h.length, &h.sum)
}

// bytes reads a field; what it returns is valid until the next call.
func (d *reader) bytes(n int) ([]byte, error) {
	got, err := io.ReadFull(d.r, d.field[:n])
	d.next += int64(got)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return d.field[:n], err
}

// cut names the end of a stream in the middle of a chunk.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	return err
}
