package lookup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"nightjar/internal/durable"
)

const bufferSize = 256 << 10

// An input is a segment that is merged, and what becomes of its sources.
type input struct {
	*segment
	sources []uint32 // of each source, its number in the result, or none
}

const none = ^uint32(0) // its packs are left out

// choose says what a merge of segments keeps; x.mu is held. What has been replaced stays as a bare name, so that nobody
// fetches it again while it is still in the repository.
func choose(segments []*segment) (inputs []input, sources []source) {
	for _, g := range segments {
		in := input{g, make([]uint32, len(g.sources))}
		for i, s := range g.sources {
			in.sources[i] = none
			switch s.state {
			case live:
				in.sources[i] = uint32(len(sources))
			case replaced:
				s.bare, s.entries = true, 0
			default:
				continue
			}
			sources = append(sources, s)
		}
		inputs = append(inputs, in)
	}
	return inputs, sources
}

// merge writes a new file with what inputs hold of sources.
func merge(dir string, inputs []input, sources []source) (g *segment, err error) {
	if len(sources) > maxSources {
		return nil, fmt.Errorf("%d index objects are too many", len(sources))
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	f, err := durable.CreateTemp(folder, 0o600)
	if err != nil {
		return nil, err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			f.Close()
			_ = durable.Unlink(folder, temp) // what failed first is what the caller must know
		}
	}()
	if err := lock(f); err != nil {
		return nil, err
	}
	w := &writer{out: bufio.NewWriterSize(io.NewOffsetWriter(f, pageSize), bufferSize), at: pageSize}
	numbers, err := w.records(inputs)
	if err != nil {
		return nil, err
	}
	if err := w.pages(inputs, numbers); err != nil {
		return nil, err
	}
	head, err := w.tables(sources)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(temp, durable.TempPrefix) + fileSuffix
	if g, err = readFile(f, name, int64(w.at)); err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(dir, temp), filepath.Join(dir, name)); err != nil {
		return nil, err
	}
	g.table.(*file).closer = f
	return g, nil
}

// A writer writes the parts of a file one after another.
type writer struct {
	header
	out     *bufio.Writer
	at      uint64
	offsets []uint64
	firsts  []uint64
	page    [pageSize]byte
	filled  int // entries in page
}

func (w *writer) write(b []byte) error {
	w.at += uint64(len(b))
	_, err := w.out.Write(b)
	return err
}

// records writes the packs that stay, and returns the new number of each pack of each input.
func (w *writer) records(inputs []input) ([][]uint32, error) {
	numbers := make([][]uint32, len(inputs))
	total := 0
	for _, in := range inputs {
		total += in.packs
	}
	w.offsets = make([]uint64, 0, total+1) // with millions of packs, growing would take as much again
	for i, in := range inputs {
		numbers[i] = make([]uint32, in.packs)
		for n := range numbers[i] {
			numbers[i][n] = none
			record, err := in.record(uint32(n))
			if err != nil {
				return nil, err
			}
			from, ok := sourceOf(record, uint32(n))
			if !ok || int(from) >= len(in.sources) {
				return nil, &brokenError{in.name, fmt.Errorf("pack %d: %w", n, errChecksum)}
			}
			source := in.sources[from]
			if source == none {
				continue
			}
			if w.packs == none-1 {
				return nil, errors.New("too many packs")
			}
			numbers[i][n] = w.packs
			renumber(record, w.packs, source)
			w.packs++
			w.offsets = append(w.offsets, w.at)
			if err := w.write(record); err != nil {
				return nil, err
			}
		}
	}
	w.offsets = append(w.offsets, w.at)
	w.pagesAt = w.at
	return numbers, nil
}

// pages writes the entries that stay, by key.
func (w *writer) pages(inputs []input, numbers [][]uint32) error {
	heads := make([]*entry, len(inputs)) // nil: no more
	walks := make([]func() (*entry, bool, error), len(inputs))
	advance := func(i int) error {
		in := inputs[i]
		for {
			e, ok, err := walks[i]()
			heads[i] = e
			if err != nil || !ok {
				return err
			}
			if int(e.source) >= len(in.sources) || int(e.pack) >= in.packs {
				return &brokenError{in.name, errParts}
			}
			if in.sources[e.source] != none && numbers[i][e.pack] != none {
				return nil
			}
		}
	}
	for i := range inputs {
		walks[i] = inputs[i].walk()
		if err := advance(i); err != nil {
			return err
		}
	}
	for {
		least := -1
		for i, e := range heads {
			if e != nil && (least < 0 || compareKeys(&e.key, &heads[least].key) < 0) {
				least = i
			}
		}
		if least < 0 {
			return w.endPage()
		}
		e := *heads[least]
		e.source, e.pack = inputs[least].sources[e.source], numbers[least][e.pack]
		if err := w.entry(&e); err != nil {
			return err
		}
		if err := advance(least); err != nil {
			return err
		}
	}
}

func (w *writer) entry(e *entry) error {
	if w.filled == 0 {
		w.firsts = append(w.firsts, prefixOf(&e.key))
	}
	e.put(w.page[w.filled*entrySize:])
	w.filled++
	w.entries++
	if w.filled == perPage {
		return w.endPage()
	}
	return nil
}

func (w *writer) endPage() error {
	if w.filled == 0 {
		return nil
	}
	clear(w.page[w.filled*entrySize:])
	w.filled = 0
	binary.LittleEndian.PutUint32(w.page[pageSize-8:], uint32(len(w.firsts)-1))
	binary.LittleEndian.PutUint32(w.page[pageSize-4:], checksum(w.page[:pageSize-4]))
	return w.write(w.page[:])
}

// tables writes all else and returns the header.
func (w *writer) tables(sources []source) ([]byte, error) {
	w.offsetsAt = w.at
	if _, err := w.numbers(w.offsets); err != nil {
		return nil, err
	}
	w.firstsAt = w.at
	sum, err := w.numbers(w.firsts)
	if err != nil {
		return nil, err
	}
	w.firstsSum = sum
	w.header.sources, w.sourcesAt = uint64(len(sources)), w.at
	b := appendSources(nil, sources)
	if err := w.write(b); err != nil {
		return nil, err
	}
	w.sourcesSum, w.end = checksum(b), w.at
	return w.header.append(nil), w.out.Flush()
}

// numbers writes numbers, and returns the checksum of their bytes.
func (w *writer) numbers(values []uint64) (uint32, error) {
	var b [8]byte
	var sum uint32
	for _, v := range values {
		binary.LittleEndian.PutUint64(b[:], v)
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b[:])
		if err := w.write(b[:]); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
