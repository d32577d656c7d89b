package save_test

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
	"nightjar/repo"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/tree"
)

// knownPlace is a place with the secret for which twins were found.
func knownPlace(t *testing.T) *repotest.Place {
	t.Helper()
	p := repotest.NewPlace(t)
	rule := repotest.Must(chunk.NewRule(rand.Reader))
	secret := chunk.Secret{1, 2, 3}
	text := repotest.Must(json.Marshal(map[string]any{"version": 0, "repository": p.Keys.ID(), "secret": secret[:],
		"chunker": map[string]any{"polynomial": rule.Polynomial, "min": rule.Min, "bits": rule.Bits, "max": rule.Max}}))
	root, _, metadata := p.Secrets()
	b := crypto.Binding{Repository: p.Keys.ID(), Kind: sealed.Config}
	p.Put(sealed.Config, repotest.Must(repotest.Seal(metadata.Public(), root, b, text, rand.Reader, p.Clock.Now)))
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
	other := repotest.MustKey("other")
	p.Enroll("db2", other, "backup")
	a, b := twins(t, p.Open(other).Secret(), 512)
	text := func(seed, n int) []byte { return fmt.Appendf(nil, "%x", repotest.Noise(seed, n/2)) }
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
			last = last.save(t, p.Open(repotest.HostKey()), slices.Concat(n[0], text(9, 100<<10), n[1], text(8, 100<<10)), 1<<20)
			all = append(all, last)
		}
		if last.sent.Deltas.Load() != 1 {
			t.Errorf("%s: not stored as a recipe, so this shows nothing", name)
		}
		for i, n := range all {
			t.Run(fmt.Sprintf("%s, night %d", name, i), func(t *testing.T) { n.restored(t, p.Reader()) })
		}
	}
}

// The same with trees, in which names are that anybody may choose who can write in the folder.
func TestPlantedName(t *testing.T) {
	p := knownPlace(t)
	a, b := twins(t, p.Open(repotest.HostKey()).Secret(), 64)
	encoded := slices.Concat(repotest.Noise(1, 64*100), a, repotest.Noise(2, 64*100))
	var was []tree.Item
	for i, data := range [][]byte{encoded, bytes.Replace(encoded, a, b, 1), slices.Concat([]byte("new"), bytes.Replace(encoded, a, b, 1), a), slices.Concat(b, encoded, b)} {
		var sent save.Sent
		var root chunk.ID
		host := p.Open(repotest.HostKey())
		_, err := save.Write(t.Context(), host, &sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			root, err = s.TreeLike(data, was)
			archive := &repo.Record{Host: "db1", Job: "job"}
			archive.Root.ID = root
			return archive, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && sent.Metadata.Load() > 1000 {
			t.Errorf("night %d: %d bytes of metadata, so this shows nothing", i, sent.Metadata.Load())
		}
		if got, err := p.Reader().Metadata(t.Context(), root); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("night %d: the tree is lost: %v", i, err)
		}
		was = []tree.Item{{ID: root, Length: int64(len(data))}}
	}
}
