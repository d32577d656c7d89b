package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dchest/siphash"

	"nightjar/chunk"
)

// twin returns two blocks of a length, 64 or 512, that have the same eight bytes of SipHash under the last half of the tests' block key. Whoever knows a secret
// finds such a pair in minutes, by 2^32 tries. It would serve against all chunks of a repository, if they had one key.
func twin(t testing.TB, length int) (a, b []byte) {
	t.Helper()
	ends := map[int][2]string{64: {"dncfpojgdljcodkj", "fmnipcgndijhempe"}, 512: {"mghfbpcmojpoelll", "jonnlnohkhgpmiea"}}[length]
	a = []byte(strings.Repeat("x", length-16) + ends[0])
	b = []byte(strings.Repeat("x", length-16) + ends[1])
	key := secret.Key(chunk.Blocks)
	k0, k1 := binary.LittleEndian.Uint64(key[16:]), binary.LittleEndian.Uint64(key[24:])
	if bytes.Equal(a, b) || siphash.Hash(k0, k1, a) != siphash.Hash(k0, k1, b) {
		t.Fatal("the blocks have different sums")
	}
	return a, b
}

// Of blocks that collide under one key, none passes for the other in any chunk: as itself, as a literal of several runs, or as part of what a recipe makes.
func TestTwins(t *testing.T) {
	for _, length := range []int{64, 512} {
		for _, readable := range []bool{false, true} {
			a, b := twin(t, length)
			for at := range 8 {
				m := newModel(t, length)
				old := noise(uint64(at), 8*length)
				copy(old[at*length:], a)
				planted := bytes.Clone(old)
				copy(planted[at*length:], b)
				whole := m.whole(old, nil)
				if length < MinBlock && !readable {
					continue // no such signature is stored
				}
				// Save fails unless what it makes is what was saved.
				next, fresh := m.save(planted, m.base(readable, whole), 0)
				if fresh != length {
					t.Fatalf("blocks of %d at %d: %d bytes of literal", length, at, fresh)
				}
				if _, fresh := m.save(slices.Concat(planted, a, b, a), m.base(readable, next), 0); fresh > 3*length {
					t.Fatalf("blocks of %d at %d: %d bytes of literal, the night after", length, at, fresh)
				}
				back := slices.Concat([]byte("shifted"), old, planted)
				if got, _ := m.save(back, m.base(readable, whole, next), 0); !bytes.Equal(m.get(got), back) {
					t.Fatalf("blocks of %d at %d: shifted, they are taken for one another", length, at)
				}
			}
		}
	}
}

// A pair that is found for one block, which takes two bytes of a sum here, serves against that block, and no other: neither one with the same bytes
// elsewhere in the chunk, nor the one at that place of another chunk.
func TestTwinsOfOneBlock(t *testing.T) {
	const length, blocks, target = 512, 6, 3
	m := newModel(t, length)
	hash := m.signer.hash
	m.signer.hash = func(k0, k1 uint64, block []byte) (uint64, uint64) {
		sum, _ := hash(k0, k1, block)
		return sum & 0xffff, 0
	}
	a := noise(1, length)
	old := bytes.Repeat(a, blocks)
	whole := m.whole(old, nil)
	key := m.signer.key(whole.ID)
	b := bytes.Clone(a)
	for i := uint64(0); m.signer.strong(key, target*length, b) != m.signer.strong(key, target*length, a) || bytes.Equal(a, b); i++ {
		binary.LittleEndian.PutUint64(b, i)
	}
	taken := func(old []byte, at int) bool {
		planted := bytes.Clone(old)
		copy(planted[at*length:], b)
		base := m.base(false, m.whole(old, nil))
		match := m.matcher.Match(planted, base, 0)
		return len(match.Literal) == 0
	}
	if !taken(old, target) {
		t.Fatal("the blocks have different sums where they should agree: this test shows nothing")
	}
	for at := range blocks {
		if at != target && taken(old, at) {
			t.Errorf("what passes for block %d passes for block %d, too", target, at)
		}
	}
	for i := range 20 {
		other := slices.Concat(old, fmt.Append(nil, i))
		if taken(other, target) {
			t.Errorf("what passes for a block of one chunk passes for that of another")
		}
	}
}

// Zeros are known by their sum, and compared as what they are. So their sums compress, wherever they stand.
func TestZeros(t *testing.T) {
	s := NewSigner(secret)
	data := slices.Concat(make([]byte, 1024), noise(1, 512), make([]byte, 600))
	sig := s.Sign(chunk.ID{1}, data, 512, nil)
	for i, want := range []bool{true, true, false, true, true} {
		if got := sig.sums[i] == (sum{}); got != want {
			t.Errorf("block %d is zeros: %v", i, got)
		}
	}
	for i := range 512 {
		block := make([]byte, 512)
		block[i] = 1
		if s.is(chunkKey{}, 0, [strongSize]byte{}, block) {
			t.Errorf("a block with a byte at %d passes for zeros", i)
		}
	}
	if !s.is(chunkKey{}, 77, [strongSize]byte{}, make([]byte, 300)) {
		t.Error("zeros are not known")
	}
}
