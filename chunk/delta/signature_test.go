package delta

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/dchest/siphash"

	"nightjar/chunk"
)

// The bytes are those of doc/format.md, section 5.2, as another program computes them.
func TestSignatureBytes(t *testing.T) {
	var counting chunk.Secret
	for i := range counting {
		counting[i] = byte(i)
	}
	const want = "00800403030504" + "62579066ab17975682cdaf5a0ee6" + "46480ae6fe9beeb57d0c4046e1f5" + "0000000000000000000000000000"
	data := []byte("abcdefgh\x00\x00\x00\x00")
	sig := NewSigner(counting).Sign(chunk.NewNamer(counting, chunk.Content).ID(data), data, 512, []int{3, 5, 4})
	if got := hex.EncodeToString(sig.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSums(t *testing.T) {
	s, key, id := NewSigner(secret), secret.Key(chunk.Blocks), chunk.ID{7, 8, 9}
	m := binary.LittleEndian.Uint32(key) | 1
	data := noise(1, 1100)
	for n := range len(data) {
		var h uint32
		for _, b := range data[:n] {
			h = h*m + uint32(b)
		}
		if got := s.rolling(data[:n]); got != h {
			t.Fatalf("rolling sum of %d bytes is %#x, want %#x", n, got, h)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(id[:])
		own := mac.Sum(nil)[:16]
		own[0], own[1], own[2] = own[0]^byte(n), own[1]^byte(n>>8), own[2]^1
		sip := siphash.New128(own)
		sip.Write(data[:n])
		if got := s.strong(s.key(id), 1<<16+n, data[:n]); !bytes.Equal(got[:], sip.Sum(nil)[:10]) {
			t.Fatalf("strong sum of %d bytes is %x", n, got)
		}
	}
	const n = 300
	h, out := s.rolling(data[:n]), s.power(n)
	for i := range len(data) - n {
		if h != s.rolling(data[i:i+n]) {
			t.Fatalf("the sum does not roll past %d", i)
		}
		h = h*m + uint32(data[i+n]) - uint32(data[i])*out
	}
}

func TestSignature(t *testing.T) {
	s, id := NewSigner(secret), chunk.ID{1}
	for _, runs := range [][]int{nil, {1}, {255}, {256}, {257}, {256, 1, 600}, {1, 1, 1}, {5000, 300, 512}} {
		length := 0
		for _, n := range runs {
			length += n
		}
		data := noise(2, length)
		sig := s.Sign(id, data, 256, runs)
		encoded := sig.Append(nil)
		got, err := DecodeSignature(encoded)
		if err != nil {
			t.Fatalf("runs %v: %v", runs, err)
		}
		if !bytes.Equal(got.Append([]byte("x")), append([]byte("x"), encoded...)) || got.Length() != length || got.Block() != 256 {
			t.Fatalf("runs %v: decoding, then appending gives something else", runs)
		}
		for from := 0; from <= length; from += 1 + length/97 {
			for to := from; to <= length; to += 1 + length/89 {
				checkWithin(t, s, id, got, data, runs, from, to)
			}
		}
	}
}

// checkWithin compares what within says with the blocks that one finds by walking through all runs.
func checkWithin(t *testing.T, s *Signer, id chunk.ID, sig *Signature, data []byte, runs []int, from, to int) {
	t.Helper()
	var want, got []stretch
	at := 0
	for _, n := range runs {
		for end := at + n; at < end; {
			b := stretch{at, min(sig.Block(), end-at)}
			if at += b.length; b.at >= from && at <= to {
				want = append(want, b)
			}
		}
	}
	for b, sum := range sig.within(from, to) {
		got = append(got, b)
		if block := data[b.at : b.at+b.length]; sum.rolling != s.rolling(block) || sum.strong != s.strong(s.key(id), b.at, block) {
			t.Fatalf("runs %v: the block at %d has the sums of another", runs, b.at)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("runs %v: from %d to %d there are %v, want %v", runs, from, to, got, want)
	}
}

func TestSignatureRefuses(t *testing.T) {
	good := NewSigner(secret).Sign(chunk.ID{1}, noise(1, 1000), 512, []int{700, 300}).Append(nil) // 0, 512, 2, 700, 300, 3 blocks
	for n := range good {
		if _, err := DecodeSignature(good[:n]); err == nil {
			t.Errorf("a signature cut to %d bytes decodes", n)
		}
	}
	for name, bad := range map[string][]byte{
		"version":         slices.Concat([]byte{1}, good[1:]),
		"trailing":        append(bytes.Clone(good), 0),
		"one block more":  append(bytes.Clone(good), make([]byte, sumSize)...),
		"small block":     {0, 0x7f, 0},
		"large block":     {0, 0x81, 0x80, 4, 0},
		"empty run":       {0, 0x80, 2, 1, 0},
		"empty and not":   slices.Concat([]byte{0, 0x80, 4, 2, 0, 1}, make([]byte, sumSize)),
		"huge runs":       slices.Concat([]byte{0, 0x80, 4, 0x80, 0x80, 4}, make([]byte, 100)),
		"too many runs":   slices.Concat([]byte{0, 0x80, 4, 0x81, 0x80, 4}, make([]byte, 65537*(1+sumSize))),
		"overlong number": {0, 0x80, 4, 0x80, 0},
		"too long":        slices.Concat([]byte{0, 0x80, 0x80, 4, 2, 0x80, 0x80, 0x80, 4, 1}, make([]byte, 129*sumSize)),
	} {
		if _, err := DecodeSignature(bad); err == nil {
			t.Errorf("%s decodes", name)
		}
	}
}

func FuzzSignature(f *testing.F) {
	s := NewSigner(secret)
	f.Add(s.Sign(chunk.ID{1}, noise(1, 3000), 512, nil).Append(nil))
	f.Add(s.Sign(chunk.ID{1}, noise(2, 900), 256, []int{100, 1, 799}).Append(nil))
	f.Add(s.Sign(chunk.ID{1}, nil, 1024, nil).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, err := DecodeSignature(b)
		if err != nil {
			return
		}
		if !bytes.Equal(sig.Append(nil), b) {
			t.Fatalf("%x is not canonical", b)
		}
		// Whatever it says, what is matched with it is in bounds and in time.
		checkHostile(t, sig, make([]byte, min(sig.Length(), 1<<16)), 0)
	})
}
