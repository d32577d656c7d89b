package delta

import (
	"encoding/binary"
	"fmt"

	"github.com/dchest/siphash"

	"nightjar/chunk"
)

// A Signer makes the sums of blocks. It is for one goroutine.
type Signer struct {
	hash   func(k0, k1 uint64, block []byte) uint64
	k0, k1 uint64
	powers [9]uint32 // of the rolling sum's multiplier
}

// NewSigner returns a Signer with the block key of the secret: nobody without it can tell from a sum what is in a block.
func NewSigner(s chunk.Secret) *Signer {
	key := s.Key(chunk.Blocks)
	signer := &Signer{hash: siphash.Hash, k0: binary.LittleEndian.Uint64(key[16:]), k1: binary.LittleEndian.Uint64(key[24:])}
	m := binary.LittleEndian.Uint32(key) | 1
	signer.powers[0] = 1
	for i := range signer.powers[1:] {
		signer.powers[i+1] = signer.powers[i] * m
	}
	return signer
}

// Sign returns the signature of data in blocks of the given size. The grid of blocks restarts with each run; runs are the lengths of
// what data is made of, or nil for one run. Blocks may be smaller than MinBlock, but then the signature cannot be stored.
func (s *Signer) Sign(data []byte, block int, runs []int) *Signature {
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
			sig.sums[i] = sum{rolling: s.rolling(b), strong: s.strong(b)}
			run = run[len(b):]
		}
		data = data[n:]
	}
	return sig
}

// strong is SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed function made to give eight bytes, at twice the speed of SHA-256.
func (s *Signer) strong(block []byte) (strong [8]byte) {
	binary.LittleEndian.PutUint64(strong[:], s.hash(s.k0, s.k1, block))
	return strong
}

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
