package lookup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"

	"nightjar/chunk"
	"nightjar/internal/wire"
	"nightjar/repo/index"
)

// A file, version 2:
//
//	header                 one page
//	records                of the packs, in order of their numbers
//	pages                  of entries, by key; each page but the last is full, and ends with its number 4 and CRC-32C 4
//	offsets                of each record and of the end of the last, 8 each
//	firsts                 of each page the first 8 bytes of its first key, 8 each
//	sources                object 32, bare 1, signer str, owner str, late 1, entries uvarint, replaces uvarint and 32 each, runs uvarint and begin and time varint each
//
// Header: magic 4, number of packs 4, of entries 8, of sources 8, then where pages, offsets, firsts, sources and the file end, 8 each,
// the CRC-32C of firsts 4, of sources 4, and of the header so far 4. Firsts and sources are in memory, all else is read when it is
// needed. There is no fsync: what a crash tears is found by its checksum, dropped, and fetched again.
const (
	pageSize   = 2048
	perPage    = (pageSize - 8) / entrySize
	fileMagic  = "NJX2"
	fileSuffix = ".njx"
	headerSize = 4 + 4 + 7*8 + 3*4
	minSource  = 32 + 1 + 1 + 1 + 1 + 1 + 1 + 1
)

var (
	errChecksum = errors.New("wrong checksum")
	errParts    = errors.New("its parts do not add up")
)

type header struct {
	packs                                   uint32
	entries, sources                        uint64
	pagesAt, offsetsAt, firstsAt, sourcesAt uint64
	end                                     uint64
	firstsSum, sourcesSum                   uint32
}

// file is the table of an immutable file.
type file struct {
	header
	name   string
	r      io.ReaderAt
	closer io.Closer
	firsts []uint64
}

// openFile opens a file of the index: ErrBroken if that is what it is.
func openFile(dir, name string) (*segment, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var g *segment
	if err == nil {
		g, err = readFile(f, name, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	g.table.(*file).closer = f
	return g, nil
}

// readFile reads what of a file is held in memory.
func readFile(r io.ReaderAt, name string, size int64) (*segment, error) {
	f := &file{name: name, r: r}
	b, err := f.read(0, headerSize)
	if err != nil {
		return nil, err
	}
	if err := f.header.parse(b, uint64(size)); err != nil {
		return nil, &brokenError{name, err}
	}
	if b, err = f.read(f.firstsAt, f.sourcesAt-f.firstsAt); err != nil {
		return nil, err
	}
	if checksum(b) != f.firstsSum {
		return nil, &brokenError{name, errChecksum}
	}
	f.firsts = make([]uint64, len(b)/8)
	for i := range f.firsts {
		f.firsts[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	if b, err = f.read(f.sourcesAt, f.end-f.sourcesAt); err != nil {
		return nil, err
	}
	if checksum(b) != f.sourcesSum {
		return nil, &brokenError{name, errChecksum}
	}
	sources, err := parseSources(b, int(f.sources))
	if err != nil {
		return nil, &brokenError{name, err}
	}
	return &segment{name: name, sources: sources, packs: int(f.packs), table: f}, nil
}

func (h *header) append(b []byte) []byte {
	b = append(b, fileMagic...)
	b = binary.LittleEndian.AppendUint32(b, h.packs)
	for _, v := range []uint64{h.entries, h.sources, h.pagesAt, h.offsetsAt, h.firstsAt, h.sourcesAt, h.end} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, h.firstsSum)
	b = binary.LittleEndian.AppendUint32(b, h.sourcesSum)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

func (h *header) parse(b []byte, size uint64) error {
	r := wire.NewReader(b)
	if string(r.Bytes(4)) != fileMagic {
		return errors.New("unknown magic")
	}
	h.packs = r.Uint32()
	for _, v := range []*uint64{&h.entries, &h.sources, &h.pagesAt, &h.offsetsAt, &h.firstsAt, &h.sourcesAt, &h.end} {
		*v = r.Uint64()
	}
	h.firstsSum, h.sourcesSum = r.Uint32(), r.Uint32()
	if checksum(b[:headerSize-4]) != r.Uint32() {
		return errChecksum
	}
	// Sizes are compared by differences of what is in order already, so that nothing wraps.
	pages := (h.entries + perPage - 1) / perPage
	if h.end != size || h.sourcesAt > size || h.firstsAt > h.sourcesAt || h.offsetsAt > h.firstsAt || h.pagesAt > h.offsetsAt || h.pagesAt < pageSize ||
		h.entries > size/entrySize || h.sources > maxSources || h.sources > (size-h.sourcesAt)/minSource ||
		h.offsetsAt-h.pagesAt != pages*pageSize || h.firstsAt-h.offsetsAt != 8*(uint64(h.packs)+1) || h.sourcesAt-h.firstsAt != 8*pages {
		return errParts
	}
	return nil
}

func appendSources(b []byte, sources []source) []byte {
	for i := range sources {
		s := &sources[i]
		b = append(b, s.Object[:]...)
		bare := byte(0)
		if s.bare {
			bare = 1
		}
		b = append(b, bare)
		b = wire.AppendSized(wire.AppendSized(b, []byte(s.Signer)), []byte(s.Owner))
		if s.Late {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(s.entries))
		b = binary.AppendUvarint(b, uint64(len(s.replaces)))
		for _, id := range s.replaces {
			b = append(b, id[:]...)
		}
		b = binary.AppendUvarint(b, uint64(len(s.runs)))
		for _, run := range s.runs {
			b = wire.AppendTime(wire.AppendTime(b, run.Begin), run.Time)
		}
	}
	return b
}

// parseSources parses n sources, which the caller knows to be in proportion to b.
func parseSources(b []byte, n int) ([]source, error) {
	r := wire.NewReader(b)
	sources := make([]source, n)
	for i := range sources {
		s := &sources[i]
		r.Into(s.Object[:])
		s.bare = r.Byte() == 1
		s.Signer, s.Owner = string(r.Sized(len(b))), string(r.Sized(len(b)))
		s.Late = r.Byte() == 1
		s.entries = int64(r.Int(1 << 40))
		s.replaces = make([]index.ObjectID, r.Count(len(b), len(index.ObjectID{})))
		for j := range s.replaces {
			r.Into(s.replaces[j][:])
		}
		s.runs = make([]RunTimes, r.Count(index.MaxRuns, 2))
		for j := range s.runs {
			s.runs[j] = RunTimes{r.Time(), r.Time()}
		}
	}
	return sources, r.End()
}

// read returns bytes of the file; the caller has bounded n by the file's size.
func (f *file) read(at, n uint64) ([]byte, error) {
	b := make([]byte, n)
	return b, f.readInto(b, at)
}

func (f *file) readInto(b []byte, at uint64) error {
	if n, err := f.r.ReadAt(b, int64(at)); n < len(b) {
		return &brokenError{f.name, fmt.Errorf("%d bytes at %d: %w", len(b), at, err)}
	}
	return nil
}

// entriesOf checks a page and returns the bytes of its entries.
func (f *file) entriesOf(page []byte, number int) ([]byte, error) {
	sum := binary.LittleEndian.Uint32(page[pageSize-4:])
	if checksum(page[:pageSize-4]) != sum || binary.LittleEndian.Uint32(page[pageSize-8:]) != uint32(number) {
		return nil, &brokenError{f.name, fmt.Errorf("page %d: %w", number, errChecksum)}
	}
	return page[:min(f.entries-uint64(number)*perPage, perPage)*entrySize], nil
}

// search returns the first page whose first key's prefix is not less than the one given. Keys are spread evenly, so the place is
// guessed, then closed in upon by doubling steps: whatever the keys are, it takes no more than twice a binary search.
func (f *file) search(prefix uint64) int {
	n := len(f.firsts)
	guess, _ := bits.Mul64(prefix, uint64(n))
	low, high := int(guess), int(guess) // the answer is in [low, high]
	if low < n && f.firsts[low] < prefix {
		for step := 1; high < n && f.firsts[high] < prefix; step *= 2 {
			low, high = high+1, min(high+step, n)
		}
	} else {
		for step := 1; low > 0 && f.firsts[low-1] >= prefix; step *= 2 {
			high, low = low-1, max(low-step, 0)
		}
	}
	for low < high {
		if middle := int(uint(low+high) / 2); f.firsts[middle] < prefix {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (f *file) find(s *scratch) error {
	s.found = s.found[:0]
	prefix := prefixOf(&s.key)
	for p := max(f.search(prefix)-1, 0); p < len(f.firsts) && f.firsts[p] <= prefix; p++ {
		if err := f.readInto(s.page[:], f.pagesAt+uint64(p)*pageSize); err != nil {
			return err
		}
		b, err := f.entriesOf(s.page[:], p)
		if err != nil {
			return err
		}
		low, high := 0, len(b)/entrySize
		for low < high {
			middle := (low + high) / 2
			if k := (*chunk.Key)(b[middle*entrySize:]); compareKeys(k, &s.key) < 0 {
				low = middle + 1
			} else {
				high = middle
			}
		}
		for ; low < len(b)/entrySize && chunk.Key(b[low*entrySize:][:16]) == s.key; low++ {
			e := parseEntry(b[low*entrySize:])
			e.number = int64(p)*perPage + int64(low)
			s.found = append(s.found, e)
		}
	}
	return nil
}

func (f *file) record(number uint32) ([]byte, error) {
	if number >= f.packs {
		return nil, &brokenError{f.name, errParts}
	}
	var b [16]byte
	if err := f.readInto(b[:], f.offsetsAt+8*uint64(number)); err != nil {
		return nil, err
	}
	at, end := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	if at < pageSize || end > f.pagesAt || at > end || end-at > maxRecord {
		return nil, &brokenError{f.name, fmt.Errorf("pack %d: %w", number, errParts)}
	}
	return f.read(at, end-at)
}

func (f *file) walk() func() (*entry, bool, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(f.r, int64(f.pagesAt), int64(f.offsetsAt-f.pagesAt)), bufferSize)
	var (
		page   [pageSize]byte
		rest   []byte
		next   int
		number int64
		e      entry
		last   chunk.Key
	)
	return func() (*entry, bool, error) {
		if len(rest) == 0 {
			if next == len(f.firsts) {
				return nil, false, nil
			}
			if _, err := io.ReadFull(in, page[:]); err != nil {
				return nil, false, &brokenError{f.name, err}
			}
			var err error
			if rest, err = f.entriesOf(page[:], next); err != nil {
				return nil, false, err
			}
			next++
		}
		e, rest = parseEntry(rest), rest[entrySize:]
		e.number = number
		number++
		if compareKeys(&e.key, &last) < 0 {
			return nil, false, &brokenError{f.name, errors.New("entries are out of order")}
		}
		last = e.key
		return &e, true, nil
	}
}

func (f *file) close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}
