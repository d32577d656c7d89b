package main

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A row has a field for each column of its table, and stays what it was.
func TestRows(t *testing.T) {
	for _, table := range tables {
		columns := 0
		for part := range strings.SplitSeq(table.columns, ", ") {
			if name, _, _ := strings.Cut(part, " "); name == strings.ToLower(name) && !strings.HasSuffix(name, ")") {
				columns++
			}
		}
		make := func() string {
			var out bytes.Buffer
			w, r := bufio.NewWriter(&out), rand.New(rand.NewPCG(1, 1))
			for n := range 50 {
				table.row(w, r, n)
			}
			_ = w.Flush()
			return out.String()
		}
		text := make()
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) != 50 || text != make() {
			t.Errorf("%s: %d lines, or others the second time", table.name, len(lines))
		}
		for _, line := range lines {
			if fields := strings.Count(line, "\t") + 1; fields != columns {
				t.Fatalf("%s: %d fields for %d columns: %.200q", table.name, fields, columns, line)
			}
		}
	}
	share := 0
	for _, table := range tables {
		share += table.share
	}
	if share != 100 {
		t.Errorf("the tables share %d%%", share)
	}
}

func TestMedianOf(t *testing.T) {
	m := medianOf([]cost{
		{wall: 3 * time.Second, peak: 1, waits: waits{max: 9, p99: 1}},
		{wall: 1 * time.Second, peak: 5, waits: waits{max: 2, p99: 3}},
		{wall: 2 * time.Second, peak: 2, waits: waits{max: 4, p99: 2}},
	})
	if m.wall != 2*time.Second || m.peak != 5 || m.waits.max != 9 || m.waits.p99 != 2 {
		t.Errorf("%+v", m)
	}
}

func TestWaited(t *testing.T) {
	w := &writers{stop: func() {}}
	for i := range 100 {
		w.waits = append(w.waits, time.Duration(100-i))
	}
	if got, err := w.waited(); err != nil || got.max != 100 || got.p99 != 100 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSizeOf(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 10, "b/c": 20} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int64{dir: 30, filepath.Join(dir, "a"): 10, filepath.Join(dir, "none"): 0, "": 0} {
		if got, err := sizeOf(path); err != nil || got != want {
			t.Errorf("%s: %d, want %d: %v", path, got, want, err)
		}
	}
}
