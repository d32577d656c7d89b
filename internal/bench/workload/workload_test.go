package workload

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const tiny = 0.002

// fingerprint covers names, modes, times and contents of a tree.
func fingerprint(t *testing.T, dir string) (sum [32]byte, files int, size int64) {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		fmt.Fprintln(h, rel, info.Mode(), info.ModTime().UnixNano())
		if d.IsDir() {
			return nil
		}
		content, err := os.ReadFile(name)
		h.Write(content)
		files++
		size += int64(len(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil)), files, size
}

func TestDeterministic(t *testing.T) {
	nights := func(seed uint64) (first, second [32]byte) {
		dir := t.TempDir()
		p, err := New(tiny, seed)
		if err != nil {
			t.Fatal(err)
		}
		made, err := p.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		first, files, size := fingerprint(t, dir)
		if files != made.Files || size != made.Bytes || files != 349 || size != 10_160_805 {
			t.Errorf("made %d files of %d bytes, says %+v", files, size, made)
		}
		changed, err := p.Mutate(dir)
		if err != nil {
			t.Fatal(err)
		}
		second, after, _ := fingerprint(t, dir)
		if after != files+changed.Files-changed.Deleted {
			t.Errorf("%d files, then %d after %+v", files, after, changed)
		}
		return first, second
	}
	first, second := nights(1)
	again, secondAgain := nights(1)
	if first != again || second != secondAgain {
		t.Error("the same seed made another tree")
	}
	if first == second {
		t.Error("the second night changed nothing")
	}
	if other, _ := nights(2); other == first {
		t.Error("another seed made the same tree")
	}
}

// At full scale, planned only: the figures that the workload stands for.
func TestFullPlan(t *testing.T) {
	p, err := New(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.files) != firstFiles || sum(p.files) != firstBytes {
		t.Errorf("%d files of %d bytes", len(p.files), sum(p.files))
	}
	var kinds [3]float64
	for _, f := range p.files {
		kinds[f.kind]++
	}
	for k, want := range []float64{56, 30, 14} {
		if got := 100 * kinds[k] / firstFiles; got < want-1 || got > want+1 {
			t.Errorf("%.1f%% of the files are of kind %d, want %v", got, k, want)
		}
	}
	n := p.night
	if len(n.created) != newFiles || len(n.deleted) != deletedFiles || len(n.rewritten)+len(n.edited) != changedFiles {
		t.Errorf("%d new, %d deleted, %d rewritten, %d edited", len(n.created), len(n.deleted), len(n.rewritten), len(n.edited))
	}
	seen := map[int]bool{}
	var held int64
	for _, i := range append(append([]int(nil), n.rewritten...), n.edited...) {
		if seen[i] {
			t.Errorf("file %d changes twice", i)
		}
		seen[i] = true
		held += p.files[i].size
	}
	if held < changedBytes*95/100 || held > changedBytes*105/100 {
		t.Errorf("changed files hold %d bytes, want about %d", held, changedBytes)
	}
	for _, i := range n.rewritten {
		if p.files[i].size < pageSize*2 {
			t.Errorf("file %d of %d bytes is too small to be like a database's", i, p.files[i].size)
		}
	}
	for _, i := range n.deleted {
		if seen[i] {
			t.Errorf("file %d is deleted and changed", i)
		}
	}
}

func TestContentCompresses(t *testing.T) {
	const size = 1 << 20
	v := newVocabulary(1)
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for k, want := range []struct{ least, most float64 }{{2, 3.5}, {1.7, 2.5}, {0.99, 1.01}} {
		var b bytes.Buffer
		if err := v.content(&b, kind(k), size, generator(1, forContent, rand.Uint64()), make([]byte, 0, pieceSize+maxItem)); err != nil {
			t.Fatal(err)
		}
		if b.Len() != size {
			t.Errorf("kind %d: %d bytes, want %d", k, b.Len(), size)
		}
		ratio := size / float64(len(e.EncodeAll(b.Bytes(), nil)))
		if ratio < want.least || ratio > want.most {
			t.Errorf("kind %d compresses %.2f:1, want %v to %v", k, ratio, want.least, want.most)
		}
	}
}

func TestScaleRefused(t *testing.T) {
	for _, scale := range []float64{-1, 0, 0.0001, 11} {
		if _, err := New(scale, 1); err == nil {
			t.Errorf("scale %v was accepted", scale)
		}
	}
}

func TestMutateWithoutTree(t *testing.T) {
	p, err := New(tiny, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Mutate(t.TempDir()); err == nil {
		t.Error("an empty folder was mutated")
	}
}
