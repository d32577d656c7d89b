package delta

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
)

// example returns the bytes that doc/format.md shows under a name.
func example(t testing.TB, name string) []byte {
	t.Helper()
	page, err := os.ReadFile("../../doc/format.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("no example %s", name)
	}
	b, err := hex.DecodeString(regexp.MustCompile(`#.*|\s`).ReplaceAllString(string(found[1]), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exampleRecipe() *Recipe {
	five, six := chunk.ID(bytes.Repeat([]byte{5}, 32)), chunk.ID(bytes.Repeat([]byte{6}, 32))
	return &Recipe{Length: 10, Literal: Source{five, 3}, Sources: []Source{{six, 8}}, Copies: []Copy{{1, 2, 4}, {0, 0, 3}, {1, 0, 3}}}
}

func exampleSource(n int) ([]byte, error) { return []byte([]string{"XYZ", "abcdefgh"}[n]), nil }

func TestRecipeExample(t *testing.T) {
	encoded := example(t, "recipe")
	r, err := DecodeRecipe(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, exampleRecipe()) {
		t.Errorf("decoded %+v", r)
	}
	if got := r.Append([]byte("x")); string(got) != "x"+string(encoded) {
		t.Errorf("appended %x", got)
	}
	if got, err := r.Apply([]byte("<"), exampleSource); err != nil || string(got) != "<cdefXYZabc" {
		t.Errorf("made %q, %v", got, err)
	}
}

func TestRecipeRefuses(t *testing.T) {
	good := exampleRecipe().Append(nil)
	for n := range good {
		if _, err := DecodeRecipe(good[:n]); err == nil {
			t.Errorf("a recipe cut to %d bytes decodes", n)
		}
	}
	at := func(i int, b ...byte) []byte { return slices.Concat(good[:i], b, good[i+1:]) }
	id := strings.Repeat("\x01", 32)
	for name, bad := range map[string][]byte{
		"version":          at(0, 1),
		"longer":           at(1, 11),
		"shorter":          at(1, 9),
		"too long":         at(1, binary.AppendUvarint(nil, chunk.MaxSize+1)...),
		"overlong number":  at(1, 0x8a, 0),
		"literal's length": at(2, 2),
		"unknown source":   at(len(good)-9, 2),
		"offset":           at(len(good)-8, 5),
		"length":           at(len(good)-7, 7),
		"nothing copied":   at(len(good)-7, 0),
		"more copies":      at(len(good)-10, 4),
		"huge offset":      at(len(good)-8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"trailing":         append(bytes.Clone(good), 0),
		"huge sources":     append([]byte{0, 0, 0}, 0x80, 0x80, 4),
		"huge copies":      append([]byte{0, 0, 0, 0}, 0x80, 0x80, 0x40),
		"source too long":  append(append([]byte{0, 0, 0, 1}, id...), append(binary.AppendUvarint(nil, chunk.MaxSize+1), 0)...),
	} {
		if r, err := DecodeRecipe(bad); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	gone := errors.New("gone")
	if _, err := exampleRecipe().Apply(nil, func(int) ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("a missing source: %v", err)
	}
	short := func(int) ([]byte, error) { return []byte("abc"), nil }
	if out, err := exampleRecipe().Apply([]byte("x"), short); err == nil || string(out) != "x" {
		t.Errorf("a source of another length: %q, %v", out, err)
	}
	for name, spoil := range map[string]func(*Recipe){
		"negative length":   func(r *Recipe) { r.Length = -1 },
		"negative offset":   func(r *Recipe) { r.Copies[0].Offset = -1 },
		"negative copy":     func(r *Recipe) { r.Copies[0].Length = -4 },
		"negative source":   func(r *Recipe) { r.Copies[0].Source = -1 },
		"negative whole":    func(r *Recipe) { r.Sources[0].Length = -1 },
		"overflow":          func(r *Recipe) { r.Copies[0].Offset, r.Copies[0].Length = 1<<62, 1<<62 },
		"a copy too many":   func(r *Recipe) { r.Copies = append(r.Copies, Copy{0, 0, 1}) },
		"a copy too few":    func(r *Recipe) { r.Copies = r.Copies[:2] },
		"a missing source":  func(r *Recipe) { r.Sources = nil },
		"too many sources":  func(r *Recipe) { r.Sources = make([]Source, MaxSources+1) },
		"too many copies":   func(r *Recipe) { r.Copies = make([]Copy, MaxCopies+1) },
		"literal too large": func(r *Recipe) { r.Literal.Length = chunk.MaxSize + 1 },
	} {
		r := exampleRecipe()
		spoil(r)
		if out, err := r.Apply(nil, exampleSource); err == nil || out != nil {
			t.Errorf("%s: made %q", name, out)
		}
	}
}

func FuzzRecipe(f *testing.F) {
	f.Add(exampleRecipe().Append(nil))
	f.Add((&Recipe{}).Append(nil))
	f.Add((&Recipe{Length: 5, Literal: Source{chunk.ID{1}, 5}, Copies: []Copy{{0, 0, 5}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecipe(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Append(nil), b) {
			t.Fatalf("%x is not canonical", b)
		}
		sources := 0
		out, err := r.Apply(nil, func(n int) ([]byte, error) {
			if sources += r.Source(n).Length; sources > 64<<20 {
				return nil, errors.New("enough")
			}
			return noise(uint64(n), r.Source(n).Length), nil
		})
		if err == nil && len(out) != r.Length {
			t.Fatalf("made %d bytes instead of %d", len(out), r.Length)
		}
	})
}
