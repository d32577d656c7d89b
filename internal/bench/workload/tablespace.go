package workload

import (
	"bufio"
	endian "encoding/binary" // binary is a class of content here
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	recordSize = 240 // bytes of a row
	records    = 62  // rows of a page, which leave a sixteenth of it free
	fileHeader = 38  // bytes in front of each page
)

// Tablespace is a file like an InnoDB table's: its first page says so, and each page has a header and a trailer with checksum and log
// sequence number. A night updates one row in a hundred, here and there, and so touches 46% of all pages.
type Tablespace struct {
	Size int64 // bytes, two pages of 16 KiB or more; what is not a whole page is left out
	Seed uint64
}

// Create writes the first night's file and makes its folder.
func (s Tablespace) Create(name string) error {
	if err := s.create(name); err != nil {
		return fmt.Errorf("create tablespace: %w", err)
	}
	return nil
}

func (s Tablespace) create(name string) error {
	if s.Size < 2*pageSize {
		return fmt.Errorf("%d bytes are less than two pages", s.Size)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(s.Seed, 5<<40))
	if err := s.content(f, r); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	made := time.Date(2008, 5, 22, 12, 0, 0, 0, time.UTC)
	return os.Chtimes(name, made, made)
}

func (s Tablespace) content(f io.Writer, r *rand.Rand) error {
	names := Database{Seed: s.Seed}.names()
	w := bufio.NewWriterSize(f, pieceSize)
	page := make([]byte, pageSize)
	for n := range int(s.Size / pageSize) {
		clear(page)
		endian.BigEndian.PutUint32(page[4:], uint32(n))
		endian.BigEndian.PutUint16(page[24:], 0x45bf) // a page of an index
		endian.BigEndian.PutUint32(page[34:], 77)
		if n == 0 {
			endian.BigEndian.PutUint16(page[24:], 8) // the header of a tablespace
			endian.BigEndian.PutUint32(page[38:], 77)
		}
		for i := range records * min(n, 1) {
			row := page[120+i*recordSize:][:0:recordSize]
			row = endian.BigEndian.AppendUint32(row, uint32(n*records+i))
			row = endian.BigEndian.AppendUint64(row, r.Uint64())
			for len(row) < recordSize-40 {
				row = strconv.AppendUint(append(row, names[r.IntN(len(names))]...), r.Uint64N(1e6), 10)
			}
		}
		seal(page, r)
		if _, err := w.Write(page); err != nil {
			return err
		}
	}
	return w.Flush()
}

// seal changes what each change of a page changes in its header and trailer.
func seal(page []byte, r *rand.Rand) {
	lsn := r.Uint64()
	endian.BigEndian.PutUint32(page, r.Uint32())
	endian.BigEndian.PutUint64(page[16:], lsn)
	endian.BigEndian.PutUint32(page[pageSize-8:], uint32(lsn))
	endian.BigEndian.PutUint32(page[pageSize-4:], r.Uint32())
}

// Change turns a night's file into the next night's, as Database.Change does.
func (s Tablespace) Change(name string) error {
	if err := s.change(name); err != nil {
		return fmt.Errorf("change tablespace: %w", err)
	}
	return nil
}

func (s Tablespace) change(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(s.Seed, uint64(st.ModTime().UnixNano())))
	page := make([]byte, pageSize)
	for n := 1; n < int(st.Size()/pageSize); n++ {
		at, touched := int64(n)*pageSize, false
		for i := range records {
			if r.IntN(100) > 0 {
				continue
			}
			if !touched {
				if _, err := f.ReadAt(page, at); err != nil {
					return err
				}
				touched = true
			}
			endian.BigEndian.PutUint64(page[120+i*recordSize+4:], r.Uint64()) // of the transaction
			endian.BigEndian.PutUint32(page[120+i*recordSize+12:], r.Uint32())
		}
		if !touched {
			continue
		}
		seal(page, r)
		if _, err := f.WriteAt(page, at); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	next := st.ModTime().Add(24 * time.Hour)
	return os.Chtimes(name, next, next)
}
