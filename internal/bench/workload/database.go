package workload

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// PageChange is how many bytes of a page a night changes.
const PageChange = 4 + 8 + rowSize + 8

// Database is one file like a database's table space, of which a night changes scattered pages.
type Database struct {
	Size  int64 // bytes, a page of 16 KiB or more
	Pages int   // changed in a night; all pages, if there are fewer
	Seed  uint64
}

// Create writes the first night's file and makes its folder.
func (d Database) Create(name string) error {
	if err := d.create(name); err != nil {
		return fmt.Errorf("create database file: %w", err)
	}
	return nil
}

func (d Database) create(name string) error {
	if d.Size < pageSize {
		return fmt.Errorf("%d bytes are less than a page", d.Size)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(d.Seed, 4<<40))
	if err := d.content(f, r); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	made := time.Date(2008, 5, 22, 12, 0, 0, 0, time.UTC).Add(-time.Duration(r.IntN(1e6)) * time.Second)
	return os.Chtimes(name, made, made)
}

// content writes records: a number, a name and noise, which compress 2:1.
func (d Database) content(f io.Writer, r *rand.Rand) error {
	names := d.names()
	w := bufio.NewWriterSize(f, pieceSize)
	var record []byte
	for left := d.Size; left > 0; left -= int64(len(record)) {
		record = append(record[:0], 0, 0, 0, 1)
		record = strconv.AppendUint(record, r.Uint64N(1e9), 10)
		record = append(record, names[r.IntN(len(names))]...)
		for x, n := r.Uint64(), 0; n < 8; x, n = x>>8, n+1 {
			record = append(record, byte(x))
		}
		record = append(record, make([]byte, 9)...)
		record = record[:min(int64(len(record)), left)]
		if _, err := w.Write(record); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (d Database) names() [64]string {
	r := rand.New(rand.NewPCG(d.Seed, 1<<40))
	var names [64]string
	for i := range names {
		name := make([]byte, 2+r.IntN(9))
		for j := range name {
			name[j] = byte('a' + r.IntN(26))
		}
		names[i] = string(name) + " "
	}
	return names
}

// Change turns a night's file into the next night's. In each page it changes what an updated row
// changes in InnoDB's: the header's checksum and log sequence number, the row, and the trailer.
// Which pages follows from the seed and from the file's time, which it moves on by a day.
func (d Database) Change(name string) error {
	if err := d.change(name); err != nil {
		return fmt.Errorf("change database file: %w", err)
	}
	return nil
}

func (d Database) change(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	all := int(st.Size() / pageSize)
	r := rand.New(rand.NewPCG(d.Seed, uint64(st.ModTime().UnixNano())))
	for _, page := range r.Perm(all)[:min(d.Pages, all)] {
		row := 64 + r.IntN(pageSize-64-rowSize-8)
		for _, span := range [...]struct{ at, n int }{{0, 4}, {16, 8}, {row, rowSize}, {pageSize - 8, 8}} {
			buf := make([]byte, span.n)
			for i := range buf {
				buf[i] = byte(r.Uint32())
			}
			if _, err := f.WriteAt(buf, int64(page)*pageSize+int64(span.at)); err != nil {
				return err
			}
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	next := st.ModTime().Add(24 * time.Hour)
	return os.Chtimes(name, next, next)
}
