package chunk

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(s).Read(b)
	return b
}

func rule(t testing.TB) Rule {
	t.Helper()
	r, err := NewRule(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

func cut(t testing.TB, c *Cutter, r io.Reader) [][]byte {
	t.Helper()
	var out [][]byte
	var buf []byte
	c.Reset(r)
	for {
		data, err := c.Next(buf)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(data))
		buf = data
	}
}

func TestCutIsExact(t *testing.T) {
	c := NewCutter(rule(t))
	for _, n := range []int{0, 1, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3 << 20, 20 << 20} {
		data := random(uint64(n), n)
		for _, r := range []io.Reader{bytes.NewReader(data), iotest.HalfReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
			chunks := cut(t, c, r)
			if !bytes.Equal(bytes.Join(chunks, nil), data) {
				t.Fatalf("%d bytes: chunks do not make up the content", n)
			}
			for i, ch := range chunks {
				if len(ch) > MaxSize || len(ch) == 0 || i < len(chunks)-1 && len(ch) < 512<<10 {
					t.Fatalf("%d bytes: chunk %d of %d has %d bytes", n, i, len(chunks), len(ch))
				}
			}
			if n <= 512<<10 && len(chunks) > 1 {
				t.Fatalf("%d bytes were cut into %d", n, len(chunks))
			}
		}
	}
}

func TestInsertionMovesFewBoundaries(t *testing.T) {
	c := NewCutter(rule(t))
	data := random(7, 32<<20)
	old := map[string]bool{}
	for _, ch := range cut(t, c, bytes.NewReader(data)) {
		old[string(ch)] = true
	}
	edited := append(append(bytes.Clone(data[:10<<20]), "inserted"...), data[10<<20:]...)
	fresh := 0
	for _, ch := range cut(t, c, bytes.NewReader(edited)) {
		if !old[string(ch)] {
			fresh++
		}
	}
	if fresh == 0 || fresh > 3 {
		t.Fatalf("%d chunks are new after one insertion", fresh)
	}
}

func TestZerosAreCutAtMax(t *testing.T) {
	for _, ch := range cut(t, NewCutter(rule(t)), bytes.NewReader(make([]byte, 17<<20))) {
		if len(ch) > MaxSize {
			t.Fatalf("chunk of %d bytes", len(ch))
		}
	}
}

func TestCutReportsErrors(t *testing.T) {
	broken := errors.New("broken")
	c := NewCutter(rule(t))
	c.Reset(io.MultiReader(bytes.NewReader(random(1, 300<<10)), iotest.ErrReader(broken)))
	if data, err := c.Next(nil); !errors.Is(err, broken) {
		t.Fatalf("read error became %d bytes, %v", len(data), err)
	}
	if got := cut(t, c, bytes.NewReader([]byte("after an error"))); len(got) != 1 || string(got[0]) != "after an error" {
		t.Fatalf("after an error: %q", got)
	}
}

func TestRuleValidate(t *testing.T) {
	good := rule(t)
	for name, spoil := range map[string]func(*Rule){
		"polynomial": func(r *Rule) { r.Polynomial++ },
		"zero":       func(r *Rule) { r.Polynomial = 0 },
		"min":        func(r *Rule) { r.Min = 0 },
		"max":        func(r *Rule) { r.Max = 64 << 20 },
		"order":      func(r *Rule) { r.Min = r.Max + 1 },
		"bits":       func(r *Rule) { r.Bits = 60 },
	} {
		bad := good
		spoil(&bad)
		if bad.Validate() == nil {
			t.Errorf("a bad %s is accepted", name)
		}
	}
}

func TestNames(t *testing.T) {
	secret := Secret{1, 2, 3}
	data := []byte("content")
	inner := hmac.New(sha256.New, secret[:])
	inner.Write([]byte("nightjar content"))
	outer := hmac.New(sha256.New, inner.Sum(nil))
	outer.Write(data)
	n := NewNamer(secret, Content)
	for range 2 {
		if id := n.ID(data); !bytes.Equal(id[:], outer.Sum(nil)) {
			t.Fatalf("id %v does not follow the format", id)
		}
	}
	if n.ID(data) == NewNamer(secret, Metadata).ID(data) {
		t.Fatal("domains share a name")
	}
	id := n.ID(data)
	if back, err := ParseID(id.String()); err != nil || back != id {
		t.Fatalf("%v parsed to %v, %v", id, back, err)
	}
	if k := id.Key(); !bytes.Equal(k[:], id[:16]) {
		t.Fatal("key is not the first half")
	}
	for _, bad := range []string{"", "00", id.String()[1:] + "G", id.String() + "00", "A" + id.String()[1:]} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) succeeded", bad)
		}
	}
}

func BenchmarkCut(b *testing.B) {
	data := random(1, 64<<20)
	c := NewCutter(rule(b))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var buf []byte
		var err error
		for c.Reset(bytes.NewReader(data)); err == nil; buf, err = c.Next(buf) {
		}
	}
}
