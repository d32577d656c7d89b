package save_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// New bytes that are stored already, but as a recipe, are stored as themselves, too: no recipe leans on a recipe.
func TestLiteralThatIsRecipe(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	hex := func(seed, n int) []byte { return fmt.Appendf(nil, "%x", repotest.Noise(seed, n/2)) }
	insert := hex(1, 30<<10)
	first := (*night)(nil).save(t, r, insert, 1<<20)
	copy(insert[5000:], "changed")
	second := first.save(t, r, insert, 1<<20)
	if second.sent.Deltas.Load() != 1 {
		t.Fatal("not stored as a recipe")
	}
	big := hex(2, 400<<10)
	third := (*night)(nil).save(t, r, big, 1<<20)
	fourth := third.save(t, r, slices.Insert(big, 200<<10, insert...), 1<<20)
	if n := fourth.sent.Literals.Load(); fourth.sent.Deltas.Load() != 1 || n != uint64(len(insert)) {
		t.Fatalf("%d deltas with %d bytes of literals", fourth.sent.Deltas.Load(), n)
	}
	fourth.restored(t, p.Reader())
	second.restored(t, p.Reader())
}

// A chunk that somebody else's recipe has as its literal, while it is compared with what its file was, is stored once.
func TestChunkThatBecomesLiteral(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	hex := func(seed, n int) []byte { return fmt.Appendf(nil, "%x", repotest.Noise(seed, n/2)) }
	small, big := (*night)(nil).save(t, r, hex(1, 30<<10), 1<<20), (*night)(nil).save(t, r, hex(2, 400<<10), 1<<20)
	inserted := hex(3, 30<<10)
	grown := slices.Insert(slices.Clone(big.data), 200<<10, inserted...)
	sent := new(save.Sent)
	var id chunk.ID
	_, err := save.Write(t.Context(), r, sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		one, other := repotest.Must(w.NewSaver()), repotest.Must(w.NewSaver())
		ofSmall, ofBig := w.Past([]tree.Contents{small.contents}, nil), w.Past([]tree.Contents{big.contents}, nil)
		defer ofSmall.Close()
		defer ofBig.Close()
		compared := false
		p.Faulty.Before = []storetest.Hook{func(c storetest.Call) (err error) {
			if c.Op == storetest.Get && strings.HasPrefix(c.Name, "metadata/") && !compared { // the signature of small
				compared = true
				_, err = other.ContentAt(grown, save.Place{}, ofBig)
			}
			return err
		}}
		var err error
		if id, err = one.ContentAt(inserted, save.Place{}, ofSmall); err != nil || !compared {
			return nil, fmt.Errorf("compared: %t, %w", compared, err)
		}
		a := &repo.Record{Host: "db1", Job: "job"}
		a.Root.ID, err = one.Tree([]byte("tree"))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, at := range repotest.Must(r.View().Lookup(t.Context(), id.Key())) {
		if at.Type == pack.WholeContent {
			stored++
		}
	}
	if stored != 1 || sent.Deltas.Load() != 1 || sent.ChunksNew.Load() != 1 || sent.ChunksKnown.Load() != 1 {
		t.Errorf("stored %d times; %d deltas, %d new and %d known chunks", stored, sent.Deltas.Load(), sent.ChunksNew.Load(), sent.ChunksKnown.Load())
	}
}
