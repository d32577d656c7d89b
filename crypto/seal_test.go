package crypto

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestSealOpen(t *testing.T) {
	curve, signer := generated(t, "content"), generated(t, "host")
	cases := []struct {
		name              string
		recipient, signer *Key
		sizes             []int
	}{
		{"curve25519", curve, signer, []int{0, 1, 15, 16, 17, 18, 19, 20, 31, 32, 33, 255, 4096, 65535, 65536, 65537, 3<<20 + 5}},
		{"rsa", rsaKey(), rsaKey(), []int{0, 1, 100_000}},
	}
	for _, c := range cases {
		opener := NewOpener(signer, c.recipient)
		for _, n := range c.sizes {
			t.Run(fmt.Sprint(c.name, "/", n), func(t *testing.T) {
				plain := random(t, n)
				s := sealed(t, c.recipient, c.signer, plain)
				checkRanges(t, opener, s, plain)
				opened, err := opener.Open(s.Object, by(c.signer), theBox, noon)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(opened.Plain, plain) {
					t.Error("plaintext differs")
				}
				if opened.Signer != c.signer.Fingerprint() || !opened.Created.Equal(noon) {
					t.Errorf("signed by %s at %s", opened.Signer, opened.Created)
				}
				if fmt.Sprint(opened.Envelope) != fmt.Sprint(s.Envelope) {
					t.Errorf("envelope %v, was %v", opened.Envelope, s.Envelope)
				}
			})
		}
	}
}

// checkRanges opens many ranges of the object alone.
func checkRanges(t *testing.T, opener *Opener, s Sealed, plain []byte) {
	t.Helper()
	key, err := opener.SessionKey(s.Envelope.Session)
	if err != nil {
		t.Fatal(err)
	}
	n := len(plain)
	var offsets []int
	for _, base := range []int{0, n / 2, n} {
		for d := -18; d <= 40; d++ {
			offsets = append(offsets, base+d)
		}
	}
	for _, off := range offsets {
		for _, size := range []int{0, 1, 15, 16, 17, 64, 1000, n - off} {
			if off < 0 || size < 0 || off+size > n || size > 100_000 && off%16 > 1 {
				continue
			}
			start, length := s.Envelope.Span(int64(off), int64(size))
			if start < int64(s.Envelope.Stream) || (start-int64(s.Envelope.Stream))%16 != 0 {
				t.Fatalf("span of %d+%d starts at %d", off, size, start)
			}
			span := bytes.Clone(s.Object[start : start+length])
			got, err := key.OpenRange(s.Envelope, int64(off), size, span)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, plain[off:off+size]) {
				t.Fatalf("range %d+%d differs", off, size)
			}
		}
	}
}

func TestOpenRangeRefuses(t *testing.T) {
	k := generated(t, "k")
	s := sealed(t, k, k, make([]byte, 100))
	key, err := NewOpener(k).SessionKey(s.Envelope.Session)
	if err != nil {
		t.Fatal(err)
	}
	bad := s.Envelope
	bad.Data++
	for _, c := range []struct {
		e      Envelope
		off    int64
		n, len int
	}{
		{s.Envelope, -1, 1, 32}, {s.Envelope, 0, -1, 32}, {s.Envelope, 0, 10, 0}, {s.Envelope, 0, 10, 38}, {s.Envelope, 0, 10, 40},
		{s.Envelope, 1 << 62, 10, 39}, {bad, 0, 10, 39}, {Envelope{Stream: -50, Data: -5}, 0, 10, 39}, {Envelope{}, 0, 10, 10},
	} {
		if _, err := key.OpenRange(c.e, c.off, c.n, make([]byte, c.len)); err == nil {
			t.Errorf("range %d+%d of %v with %d bytes is taken", c.off, c.n, c.e, c.len)
		}
	}
	if _, err := (SessionKey{}).OpenRange(s.Envelope, 0, 10, make([]byte, 39)); err == nil {
		t.Error("zero session key is taken")
	}
}

// TestLayout holds the object against the format, byte by byte.
func TestLayout(t *testing.T) {
	k := generated(t, "k")
	plain := []byte("sixteen bytes ok")
	s := sealed(t, k, k, plain)
	o, e := s.Object, s.Envelope
	if o[0] != 0xC1 || o[1] != 94 || o[2] != 3 || len(e.Session) != 96 || !bytes.Equal(o[:96], e.Session) {
		t.Errorf("session key packet % x", o[:10])
	}
	if e.Stream != 96+7 || e.Data != e.Stream+45 {
		t.Errorf("stream at %d, data at %d", e.Stream, e.Data)
	}
	if n := len(o) - 96 - 6; !bytes.Equal(o[96:103], []byte{0xD2, 0xFF, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}) {
		t.Errorf("encrypted packet % x", o[96:103])
	}
	key, err := NewOpener(k).SessionKey(e.Session)
	if err != nil {
		t.Fatal(err)
	}
	p := o[e.Stream:]
	decryptCFB(key.block, [16]byte{}, p)
	if p[14] != p[16] || p[15] != p[17] {
		t.Error("prefix does not repeat")
	}
	id := k.cert.Primary().Pub.Fingerprint[12:]
	want := append([]byte{0xC4, 0x0D, 3, 0, 8, 22}, append(id, 1)...)
	want = append(want, 0xCB, 0xFF, 0, 0, 0, 22, 'b', 0, 0, 0, 0, 0)
	want = append(want, plain...)
	want = append(want, 0xC2)
	if got := p[18 : 18+len(want)]; !bytes.Equal(got, want) {
		t.Errorf("one-pass and literal\n% x, want\n% x", got, want)
	}
	if mdc := p[len(p)-22:]; mdc[0] != 0xD3 || mdc[1] != 0x14 {
		t.Errorf("mdc % x", mdc)
	}
}

func TestSealInPlace(t *testing.T) {
	k := generated(t, "k")
	buf := make([]byte, 0, HeaderMax+1000+TrailerMax)
	for range 3 { // the buffer serves again
		m, err := sealer(t, k, k).Begin(buf)
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != 0 || len(m.Buf) > HeaderMax {
			t.Errorf("starts with %d bytes in a buffer of %d", m.Len(), len(m.Buf))
		}
		m.Buf = append(m.Buf, make([]byte, 1000)...)
		if m.Len() != 1000 {
			t.Errorf("length is %d", m.Len())
		}
		s, err := m.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if &s.Object[0] != &buf[:1][0] {
			t.Error("message was copied")
		}
		if len(s.Object)-s.Envelope.Data-1000 > TrailerMax {
			t.Error("trailer is longer than TrailerMax")
		}
		if _, err := m.Seal(); err == nil {
			t.Error("sealed twice")
		}
		if _, err := NewOpener(k).Open(s.Object, by(k), theBox, noon); err != nil {
			t.Error(err)
		}
	}
	m, err := sealer(t, k, k).Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Buf = append(m.Buf, "no room"...)
	if s, err := m.Seal(); err != nil {
		t.Error(err)
	} else if _, err := NewOpener(k).Open(s.Object, by(k), theBox, noon); err != nil {
		t.Error(err)
	}
}

func TestBoundsHold(t *testing.T) {
	long := Binding{strings.Repeat("r", bindingMax), strings.Repeat("k", bindingMax), 1<<63 - 1}
	s, err := NewSealer(rsaKey(), rsaKey(), long, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	// RSA of 8192 bits adds 768 bytes to each of the two.
	if len(o.Envelope.Session)+768 > SessionMax || len(o.Object)-o.Envelope.Data+768 > TrailerMax {
		t.Errorf("session %d, trailer %d", len(o.Envelope.Session), len(o.Object)-o.Envelope.Data)
	}
	if _, err := NewOpener(rsaKey()).Open(o.Object, by(rsaKey()), long, noon); err != nil {
		t.Error(err)
	}
	for _, b := range []Binding{{}, {"r", "", 0}, {"r", "k", -1}, {"r\n", "k", 0}, {strings.Repeat("r", bindingMax+1), "k", 0}} {
		if _, err := NewSealer(rsaKey(), rsaKey(), b, nil, clock); err == nil {
			t.Errorf("binding %v is taken", b)
		}
		if _, err := NewOpener(rsaKey()).Open(bytes.Clone(o.Object), by(rsaKey()), b, noon); err == nil {
			t.Errorf("binding %v is taken", b)
		}
	}
}

func TestSealerIsConcurrent(t *testing.T) {
	k := generated(t, "k")
	s, o := sealer(t, k, k), NewOpener(k)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				x, err := s.Seal([]byte("plain"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := o.Open(x.Object, by(k), theBox, noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
