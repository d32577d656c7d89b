package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"nightjar/internal/tempdir"
)

func record(i int) []byte { return binary.LittleEndian.AppendUint64(make([]byte, 9, 17), uint64(i)) }

// wantRecords fails unless the records are those from 0 on, in order.
func wantRecords(t *testing.T, s *Spool, n int) {
	t.Helper()
	next := 0
	err := s.Each(func(b []byte) error {
		if string(b) != string(record(next)) {
			return fmt.Errorf("record %d is %x", next, b)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("%d records, want %d: %v", next, n, err)
	}
}

func TestSpool(t *testing.T) {
	dir, err := tempdir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := New(dir, 17)
	defer s.Close()
	const fits = memory / 17
	n := 0
	for _, upTo := range []int{0, 1, fits, fits + 1, 2*fits - 1, 2 * fits, 2*fits + 1, 5*fits + 7} {
		for ; n < upTo; n++ {
			s.Add(record(n))
		}
		wantRecords(t, s, n)
		if (s.file != nil) != (n > fits) {
			t.Errorf("%d records: file is %v", n, s.file)
		}
	}
	stop := errors.New("stop")
	seen := 0
	if err := s.Each(func([]byte) error { seen++; s.Add(record(n)); return stop }); err != stop || seen != 1 {
		t.Errorf("stopped after %d records: %v", seen, err)
	}
	if entries, err := os.ReadDir(dir.Path()); err != nil || len(entries) > 0 {
		t.Errorf("the temp directory shows %v, %v", entries, err)
	}
}

// Without a folder, or with one that is gone, what fits in memory is kept, nothing is written elsewhere, and a loss is told.
func TestNowhereToSpill(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	gone, err := tempdir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone.Path()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []tempdir.Dir{{}, gone} {
		s := New(dir, 17)
		n := 0
		for ; n < memory/17; n++ {
			s.Add(record(n))
		}
		wantRecords(t, s, n)
		s.Add(record(n))
		s.Add(record(n))
		if err := s.Each(func([]byte) error { return nil }); err == nil {
			t.Error("a loss is not told")
		}
		s.Close()
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("it was written elsewhere: %v, %v", entries, err)
	}
}

func TestManyAdd(t *testing.T) {
	dir, err := tempdir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := New(dir, 17)
	defer s.Close()
	var g sync.WaitGroup
	const each = 30_000
	for range 4 {
		g.Go(func() {
			for i := range each {
				s.Add(record(i))
				if i%10_000 == 0 {
					if err := s.Each(func([]byte) error { return nil }); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	g.Wait()
	count := map[string]int{}
	if err := s.Each(func(b []byte) error { count[string(b)]++; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range each {
		if count[string(record(i))] != 4 {
			t.Fatalf("record %d is there %d times", i, count[string(record(i))])
		}
	}
}
