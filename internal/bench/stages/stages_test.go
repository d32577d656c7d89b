package stages

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"nightjar/internal/bench/workload"
)

func sample(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := workload.NewStream(size, 1).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMeasure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stages")
	rates, err := Measure(t.Context(), sample(t, 2<<20), dir, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rates {
		names = append(names, r.Stage)
		if r.BytesPerSecond < 1e5 || r.BytesPerSecond > 1e12 {
			t.Errorf("%s: %v bytes a second", r.Stage, r.BytesPerSecond)
		}
	}
	if want := []string{"cut", "name", "sign blocks", "compress", "seal", "store"}; !slices.Equal(names, want) {
		t.Errorf("stages %q, want %q", names, want)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestMeasureRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Measure(t.Context(), sample(t, 1<<20), dir, time.Millisecond); err == nil {
		t.Error("a folder that exists was used")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// What one stage hands to the next stands for the whole sample.
func TestPiecesCoverSample(t *testing.T) {
	s := sample(t, 12<<20)
	p, err := newPath(filepath.Join(t.TempDir(), "stages"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()
	chunks, err := p.chunks(s)
	if err != nil {
		t.Fatal(err)
	}
	packs, err := packed(chunks, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) < 3 {
		t.Errorf("%d packs", len(packs))
	}
	objects, err := p.sealed(packs)
	if err != nil {
		t.Fatal(err)
	}
	var joined []byte
	for _, c := range chunks {
		joined = append(joined, c.data...)
	}
	if !bytes.Equal(joined, s) {
		t.Error("the chunks are not the sample")
	}
	for name, pieces := range map[string][]piece{"sections": sections(s), "chunks": chunks, "packs": packs, "objects": objects} {
		plain, data := 0, 0
		for _, p := range pieces {
			plain, data = plain+p.plain, data+len(p.data)
		}
		if plain != len(s) {
			t.Errorf("%s stand for %d bytes of %d", name, plain, len(s))
		}
		if compressed := name == "packs" || name == "objects"; compressed != (data < len(s)) {
			t.Errorf("%s have %d bytes of %d", name, data, len(s))
		}
	}
}

func TestMeasureStage(t *testing.T) {
	pieces := []piece{{plain: 1000}, {plain: 3000}}
	sleep := func() (worker, error) {
		return func(context.Context, piece) error { time.Sleep(10 * time.Millisecond); return nil }, nil
	}
	rate, err := measure(t.Context(), pieces, 100*time.Millisecond, sleep)
	if most := 200_000 * 1.3 * float64(runtime.GOMAXPROCS(0)); err != nil || rate < 2000 || rate > most {
		t.Errorf("%v bytes a second, %v", rate, err)
	}
	broken := errors.New("broken")
	fails := func() (worker, error) { return func(context.Context, piece) error { return broken }, nil }
	if _, err := measure(t.Context(), pieces, time.Hour, fails); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := measure(stopped, pieces, time.Hour, sleep); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestRates(t *testing.T) {
	rates := []Rate{{"a", 300}, {"b", 100}, {"c", 150}}
	if got := Slowest(rates); got.Stage != "b" {
		t.Errorf("slowest is %v", got)
	}
	if got := InTurn(rates); math.Abs(got-50) > 1e-9 {
		t.Errorf("in turn %v, want 50", got)
	}
}
