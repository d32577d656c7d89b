package delta

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/dchest/siphash"

	"nightjar/chunk"
)

// A Signer makes the sums of blocks. It is for one goroutine.
type Signer struct {
	hash   func(k0, k1 uint64, block []byte) (uint64, uint64)
	mac    hash.Hash // with the block key
	powers [9]uint32 // of the rolling sum's multiplier
}

// A chunkKey is the key of one chunk's strong sums.
type chunkKey struct{ k0, k1 uint64 }

var zeros [MaxBlock]byte

// NewSigner returns a Signer with the block key of the secret: nobody without it can tell from a sum what is in a block.
func NewSigner(s chunk.Secret) *Signer {
	key := s.Key(chunk.Blocks)
	signer := &Signer{hash: siphash.Hash128, mac: hmac.New(sha256.New, key)}
	m := binary.LittleEndian.Uint32(key) | 1
	signer.powers[0] = 1
	for i := range signer.powers[1:] {
		signer.powers[i+1] = signer.powers[i] * m
	}
	return signer
}

// key returns the key of a chunk's strong sums.
func (s *Signer) key(id chunk.ID) chunkKey {
	var sum [sha256.Size]byte
	s.mac.Reset()
	s.mac.Write(id[:])
	s.mac.Sum(sum[:0])
	return chunkKey{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// Sign returns the signature of a chunk, of which data are the bytes, in blocks of the given size. The grid of blocks restarts with each run; runs are the lengths of
// what data is made of, or nil for one run. Blocks may be smaller than MinBlock, but then the signature cannot be stored.
func (s *Signer) Sign(id chunk.ID, data []byte, block int, runs []int) *Signature {
	return s.sign(s.key(id), 0, data, block, runs)
}

// sign is Sign of what stands at an offset of the chunk that has the key.
func (s *Signer) sign(key chunkKey, offset int, data []byte, block int, runs []int) *Signature {
	if block < 1 || block > MaxBlock || len(data) > chunk.MaxSize {
		panic(fmt.Sprintf("delta: sign %d bytes in blocks of %d", len(data), block))
	}
	if runs == nil && len(data) > 0 {
		runs = []int{len(data)}
	}
	sig, err := newSignature(block, runs)
	if err != nil || sig.Length() != len(data) {
		panic(fmt.Sprintf("delta: sign %d bytes in %d runs of other lengths", len(data), len(runs)))
	}
	i := 0
	for _, n := range runs {
		for run := data[:n]; len(run) > 0; i++ {
			b := run[:min(block, len(run))]
			sig.sums[i] = sum{rolling: s.rolling(b)}
			if sig.sums[i].rolling != 0 || !isZero(b) {
				sig.sums[i].strong = s.strong(key, offset, b)
			}
			run, offset = run[len(b):], offset+len(b)
		}
		data = data[n:]
	}
	return sig
}

// strong is the begin of SipHash-2-4's 16 bytes (Aumasson and Bernstein, 2012), at twice the speed of SHA-256. Each block has a key of its own, by its chunk
// and the offset there: who knows the secret cannot know the key before the chunk is, and no try is one against several blocks.
func (s *Signer) strong(key chunkKey, offset int, block []byte) (strong [strongSize]byte) {
	low, high := s.hash(key.k0^uint64(offset), key.k1, block)
	binary.LittleEndian.PutUint64(strong[:], low)
	binary.LittleEndian.PutUint16(strong[8:], uint16(high))
	return strong
}

// is reports whether data are what a block at an offset of a chunk was, as far as its strong sum tells. That of zeros is zero: they are
// many, so their sums are to compress.
func (s *Signer) is(key chunkKey, offset int, strong [strongSize]byte, data []byte) bool {
	if strong == [strongSize]byte{} {
		return isZero(data)
	}
	return s.strong(key, offset, data) == strong
}

func isZero(block []byte) bool { return bytes.Equal(block, zeros[:len(block)]) }

// rolling takes eight bytes at a time, so that only one multiplication in eight waits for the one before.
func (s *Signer) rolling(block []byte) uint32 {
	p := &s.powers
	var h uint32
	for ; len(block) >= 8; block = block[8:] {
		b := block[:8]
		h = h*p[8] + (uint32(b[0])*p[7] + uint32(b[1])*p[6] + uint32(b[2])*p[5] + uint32(b[3])*p[4]) +
			(uint32(b[4])*p[3] + uint32(b[5])*p[2] + uint32(b[6])*p[1] + uint32(b[7]))
	}
	for _, b := range block {
		h = h*p[1] + uint32(b)
	}
	return h
}

// power returns the n-th power of the multiplier.
func (s *Signer) power(n int) uint32 {
	result := uint32(1)
	for m := s.powers[1]; n > 0; n >>= 1 {
		if n&1 != 0 {
			result *= m
		}
		m *= m
	}
	return result
}
