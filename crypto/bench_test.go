package crypto

import (
	"testing"
	"time"
)

const packSize = 16 << 20

func BenchmarkSeal(b *testing.B) {
	k := generated(b, "k")
	s, buf := sealer(b, k, k), make([]byte, 0, HeaderMax+packSize+TrailerMax)
	b.SetBytes(packSize)
	b.ReportAllocs()
	for b.Loop() {
		m, err := s.Begin(buf)
		if err != nil {
			b.Fatal(err)
		}
		m.Buf = m.Buf[:len(m.Buf)+packSize] // in place: what is there serves as plaintext
		if _, err := m.Seal(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := generated(b, "k")
	object := sealed(b, k, k, make([]byte, packSize)).Object
	o, buf := NewOpener(k), make([]byte, len(object))
	b.SetBytes(packSize)
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, object)
		if _, err := o.Open(buf, by(k), theBox, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenRange(b *testing.B) {
	const size = 1 << 20
	k := generated(b, "k")
	s := sealed(b, k, k, make([]byte, packSize))
	key, err := NewOpener(k).SessionKey(s.Envelope.Session)
	if err != nil {
		b.Fatal(err)
	}
	start, n := s.Envelope.Span(5<<20, size)
	span := s.Object[start : start+n]
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.OpenRange(s.Envelope, 5<<20, size, span); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSessionKey(b *testing.B) {
	k := generated(b, "k")
	session := sealed(b, k, k, nil).Envelope.Session
	o := NewOpener(k)
	for b.Loop() {
		if _, err := o.SessionKey(session); err != nil {
			b.Fatal(err)
		}
	}
}
