package workload

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// Half of the pages change, each in its header, its trailer, and a row or two.
func TestTablespace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shop", "orders.ibd")
	s := Tablespace{Size: 200*pageSize + 100, Seed: 1}
	if err := s.Create(name); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 200*pageSize || hex.EncodeToString(first[24:26]) != "0008" || !bytes.Equal(first[34:38], first[38:42]) {
		t.Fatalf("%d bytes, and a first page of %x", len(first), first[:58])
	}
	if err := s.Change(name); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for at := 0; at < len(first); at += pageSize {
		was, is := first[at:at+pageSize], second[at:at+pageSize]
		if bytes.Equal(was, is) {
			continue
		}
		pages++
		if bytes.Equal(was[:fileHeader], is[:fileHeader]) || bytes.Equal(was[pageSize-8:], is[pageSize-8:]) || bytes.Equal(was[fileHeader:pageSize-8], is[fileHeader:pageSize-8]) {
			t.Errorf("page %d changes without its header, its trailer or its rows", at/pageSize)
		}
		if n := countDifferent(was, is); n > 12+8+5*12 {
			t.Errorf("%d bytes of page %d change", n, at/pageSize)
		}
	}
	if pages < 80 || pages > 105 {
		t.Errorf("%d pages of 200 change", pages)
	}
	if err := (Tablespace{Size: pageSize}).Create(filepath.Join(t.TempDir(), "small")); err == nil {
		t.Error("a table of one page is made")
	}
	if err := s.Change(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a table that is not there changes")
	}
}

func countDifferent(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
