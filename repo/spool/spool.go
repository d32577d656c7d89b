// Package spool keeps records of one size in the order in which they came: a mebibyte of them in memory, the rest in one file that has no name.
//
// The file lies in the temp directory that was given and nowhere else. A Spool that cannot write there says so when it is read, not before: who
// only adds goes on. The package does not know what the records mean, and keeps no record twice from coming twice.
package spool

import (
	"fmt"
	"io"
	"os"
	"sync"

	"nightjar/internal/tempdir"
)

const memory = 1 << 20 // bytes

// A Spool is safe for concurrent use. Close it.
type Spool struct {
	dir  tempdir.Dir
	size int

	mu    sync.Mutex
	buf   []byte
	file  *os.File // nil until buf overflows
	spilt int64    // bytes in the file
	err   error    // why records were lost
}

// New returns an empty Spool for records of so many bytes, up to a mebibyte.
func New(dir tempdir.Dir, size int) *Spool { return &Spool{dir: dir, size: size} }

// Add keeps a record, which must have the size.
func (s *Spool) Add(record []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if len(s.buf)+s.size > memory {
		if s.err = s.spill(); s.err != nil {
			s.buf = nil
			return
		}
	}
	s.buf = append(s.buf, record[:s.size]...)
}

func (s *Spool) spill() (err error) {
	if s.file == nil {
		if s.file, err = s.dir.Create("nightjar-"); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(s.buf, s.spilt); err != nil {
		return err
	}
	s.spilt += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

// Each calls f for each record that is there when it is called, until f returns an error, which it returns. It fails if a record was lost. What f
// is given is good until it returns; it may add records.
func (s *Spool) Each(f func(record []byte) error) error {
	s.mu.Lock()
	file, spilt, rest, err := s.file, s.spilt, append([]byte(nil), s.buf...), s.err
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("keep records: %w", err)
	}
	each := func(b []byte) error {
		for ; len(b) > 0; b = b[s.size:] {
			if err := f(b[:s.size]); err != nil {
				return err
			}
		}
		return nil
	}
	part := make([]byte, min(spilt, int64(memory/s.size*s.size)))
	for at := int64(0); at < spilt; at += int64(len(part)) {
		part = part[:min(int64(len(part)), spilt-at)]
		if _, err := io.ReadFull(io.NewSectionReader(file, at, int64(len(part))), part); err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		if err := each(part); err != nil {
			return err
		}
	}
	return each(rest)
}

// Close forgets all records. Nothing may be using the Spool.
func (s *Spool) Close() {
	if s.file != nil {
		_ = s.file.Close() // of what nobody wants any more
	}
}
