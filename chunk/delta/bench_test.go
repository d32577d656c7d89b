package delta

import (
	"crypto/sha256"
	"slices"
	"testing"

	"nightjar/chunk"
)

func BenchmarkSHA256(b *testing.B) {
	data := noise(1, 8<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func BenchmarkRollingSum(b *testing.B) {
	data := noise(1, 512)
	s := NewSigner(secret)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s.rolling(data)
	}
}

func bySize(b *testing.B, bench func(b *testing.B, data []byte, block int)) {
	data := noise(1, 1<<20)
	for name, size := range map[string]int{"512": 512, "1024": 1024} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			bench(b, data, size)
		})
	}
}

func BenchmarkSign(b *testing.B) {
	bySize(b, func(b *testing.B, data []byte, block int) {
		s := NewSigner(secret)
		for b.Loop() {
			s.Sign(chunk.ID{1}, data, block, nil)
		}
	})
}

func BenchmarkMatchUnchanged(b *testing.B) {
	bySize(b, func(b *testing.B, data []byte, block int) {
		m := newModel(b, block)
		base := m.base(false, m.whole(data, nil))
		for b.Loop() {
			if got := m.matcher.Match(data, base, 0); len(got.Recipe.Copies) != 1 {
				b.Fatal(got.Recipe)
			}
		}
	})
}

// The base is of three chunks, as if they were those around the place.
func BenchmarkMatchNothing(b *testing.B) {
	bySize(b, func(b *testing.B, data []byte, block int) {
		m := newModel(b, block)
		base := m.base(false, m.whole(noise(2, 1<<20), nil), m.whole(noise(3, 1<<20), nil), m.whole(noise(4, 1<<20), nil))
		for b.Loop() {
			if got := m.matcher.Match(data, base, 0); len(got.Literal) != len(data) {
				b.Fatal(got.Recipe)
			}
		}
	})
}

// As what the table costs comes on top for each chunk that has changed.
func BenchmarkTable(b *testing.B) {
	m := newModel(b, 512)
	base := m.base(false, m.whole(noise(2, 1<<20), nil), m.whole(noise(3, 1<<20), nil), m.whole(noise(4, 1<<20), nil))
	b.SetBytes(3 << 20)
	for b.Loop() {
		base.table.made = false
		base.index()
	}
}

// A recipe of a database file's chunk, and a signature of a chunk with as many stretches.
func BenchmarkDecode(b *testing.B) {
	r := &Recipe{}
	for i := range 500 {
		id := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		r.Sources = append(r.Sources, Source{id, 1 << 20})
		r.Copies = append(r.Copies, Copy{i + 1, i * 16, 2000})
		r.Length += 2000
	}
	recipe := r.Append(nil)
	s, err := newSignature(512, slices.Repeat([]int{2000}, 500))
	if err != nil {
		b.Fatal(err)
	}
	signature := s.Append(nil)
	b.Run("recipe", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRecipe(recipe); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeSignature(signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}
