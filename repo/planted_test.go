package repo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dchest/siphash"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/sealed"
	"nightjar/repo/tree"
)

// knownPlace is a place with the secret for which twins were found.
func knownPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	rule := must(chunk.NewRule(rand.Reader))
	secret := chunk.Secret{1, 2, 3}
	text := must(json.Marshal(map[string]any{"version": 0, "repository": p.keys.ID(), "secret": secret[:],
		"chunker": map[string]any{"polynomial": rule.Polynomial, "min": rule.Min, "bits": rule.Bits, "max": rule.Max}}))
	root, _, metadata := p.secrets()
	b := crypto.Binding{Repository: p.keys.ID(), Kind: sealed.Config}
	p.put(sealed.Config, must(seal(metadata.Public(), root, b, text, rand.Reader, p.clock.now)))
	return p
}

// twins returns two blocks with the same SipHash under a key that every host knows: 2^32 tries, some minutes.
func twins(t *testing.T, s chunk.Secret, length int) (a, b []byte) {
	t.Helper()
	ends := map[int][2]string{64: {"dncfpojgdljcodkj", "fmnipcgndijhempe"}, 512: {"mghfbpcmojpoelll", "jonnlnohkhgpmiea"}}[length]
	a = []byte(strings.Repeat("x", length-16) + ends[0])
	b = []byte(strings.Repeat("x", length-16) + ends[1])
	key := s.Key(chunk.Blocks)
	k0, k1 := binary.LittleEndian.Uint64(key[16:]), binary.LittleEndian.Uint64(key[24:])
	if siphash.Hash(k0, k1, a) != siphash.Hash(k0, k1, b) {
		t.Fatal("the blocks have different sums")
	}
	return a, b
}

// Another host of the repository knows the secret, and so the key of everything but of what it has not seen yet. It gets one block into a file of this host, and the night
// after another with the same sum under the one key that all blocks could have had. Every night of this host restores to what was there.
func TestPlantedBlock(t *testing.T) {
	p := knownPlace(t)
	other := mustKey("other")
	p.enroll("db2", other, "backup")
	a, b := twins(t, p.open(other).Secret(), 512)
	text := func(seed, n int) []byte { return fmt.Appendf(nil, "%x", noise(seed, n/2)) }
	literal := slices.Concat(text(3, 512), a, text(4, 300))
	for name, nights := range map[string][][2][]byte{ // what is at the begin of the file, and far in
		"in place":     {{text(1, 512), a}, {text(1, 512), b}, {text(2, 512), b}},
		"there before": {{a, b}, {b, a}, {a, a}, {b, b}},
		"in a literal": {{text(1, 512), text(2, 2048)}, {text(1, 512), literal}, {text(1, 512), bytes.ReplaceAll(literal, a, b)}, {b, bytes.ReplaceAll(literal, a, b)}},
		"shifted":      {{text(1, 512), a}, {append(text(5, 100), a...), b}, {text(5, 100), append(b, a...)}},
	} {
		var last *night
		var all []*night
		for _, n := range nights {
			last = last.save(t, p.open(hostKey()), slices.Concat(n[0], text(9, 100<<10), n[1], text(8, 100<<10)), 1<<20)
			all = append(all, last)
		}
		if last.sent.Deltas.Load() != 1 {
			t.Errorf("%s: not stored as a recipe, so this shows nothing", name)
		}
		for i, n := range all {
			t.Run(fmt.Sprintf("%s, night %d", name, i), func(t *testing.T) { n.restored(t, p.reader()) })
		}
	}
}

// The same with trees, in which names are that anybody may choose who can write in the folder.
func TestPlantedName(t *testing.T) {
	p := knownPlace(t)
	a, b := twins(t, p.open(hostKey()).Secret(), 64)
	encoded := slices.Concat(noise(1, 64*100), a, noise(2, 64*100))
	var was []tree.Item
	for i, data := range [][]byte{encoded, bytes.Replace(encoded, a, b, 1), slices.Concat([]byte("new"), bytes.Replace(encoded, a, b, 1), a), slices.Concat(b, encoded, b)} {
		var sent Sent
		var root chunk.ID
		_, err := p.open(hostKey()).Write(t.Context(), &sent, func(_ context.Context, w *Writer) (*Archive, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			root, err = s.TreeLike(data, was)
			archive := &Archive{Host: "db1", Job: "job"}
			archive.Root.ID = root
			return archive, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && sent.Metadata.Load() > 1000 {
			t.Errorf("night %d: %d bytes of metadata, so this shows nothing", i, sent.Metadata.Load())
		}
		if got, err := p.reader().Metadata(t.Context(), root); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("night %d: the tree is lost: %v", i, err)
		}
		was = []tree.Item{{ID: root, Length: int64(len(data))}}
	}
}
