package save_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// What a recipe leans on is damaged or gone: that is named, and other chunks come back.
func TestDamagedBase(t *testing.T) {
	p := repotest.NewPlace(t)
	data := []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<19)))
	r := p.Open(repotest.HostKey())
	first := (*night)(nil).save(t, r, data, 300_000)
	before := p.Names("content/")
	copy(data[1000:], "changed")
	second := first.save(t, r, data, 300_000)
	if second.sent.Deltas.Load() != 1 {
		t.Fatalf("%d deltas", second.sent.Deltas.Load())
	}
	for _, name := range before {
		if err := p.Memory.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	var ids []chunk.ID
	for _, item := range second.contents.Items {
		ids = append(ids, item.ID)
	}
	_, errs, err := repotest.FetchAll(t.Context(), p.Reader(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		repotest.WantError(t, err, crypto.ErrIntegrity, ids[i].String())
	}
	if text := errs[0].Error(); !strings.Contains(text, "rebuild chunk") || !strings.Contains(text, first.contents.Items[0].ID.String()) {
		t.Errorf("the base is not named: %v", errs[0])
	}
}

// A recipe, or a signature, from a host that is not trusted is not built on.
func TestRecipesOfOthers(t *testing.T) {
	p := repotest.NewPlace(t)
	other := repotest.MustKey("other")
	p.Enroll("db2", other, "backup")
	data := []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<19)))
	first := (*night)(nil).save(t, p.Open(other), data, 300_000)
	copy(data[1000:], "changed")
	alone := first.save(t, p.Open(repotest.HostKey()), data, 300_000)
	if alone.sent.Deltas.Load() != 0 || alone.sent.ChunksKnown.Load() != 0 {
		t.Errorf("%d deltas and %d known chunks lean on a stranger's", alone.sent.Deltas.Load(), alone.sent.ChunksKnown.Load())
	}
	p = repotest.NewPlace(t)
	p.Enroll("db2", other, "backup")
	p.Trust("db1", "db2")
	first = (*night)(nil).save(t, p.Open(other), []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<19))), 300_000)
	together := first.save(t, p.Open(repotest.HostKey()), data, 300_000)
	if together.sent.Deltas.Load() != 1 {
		t.Errorf("%d deltas on a friend's chunks", together.sent.Deltas.Load())
	}
	together.restored(t, p.Reader())
}

// A signature that lies, from somebody who is trusted, spoils what leans on it: that is found, and nothing wrong is delivered.
func TestLyingSignature(t *testing.T) {
	p := repotest.NewPlace(t)
	data := repotest.Noise(5, 1<<20)
	r := p.Open(repotest.HostKey())
	sent := new(save.Sent)
	first := &night{data: data}
	_, err := save.Write(t.Context(), r, sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		id := s.ID(data)
		if err := s.Sign(id, repotest.Noise(6, len(data)), nil); err != nil { // of the file's next content
			return nil, err
		}
		if err := s.Put(pack.Opaque, data, pack.Blob{Key: id.Key(), Type: pack.WholeContent, Length: len(data)}); err != nil {
			return nil, err
		}
		first.contents.Items = []tree.Item{{ID: id, Length: int64(len(data))}}
		a := &repo.Record{Host: "db1", Job: "job"}
		a.Root.ID, err = s.Tree([]byte("tree"))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	second := first.save(t, p.Open(repotest.HostKey()), repotest.Noise(6, 1<<20), 1<<20)
	_, errs, err := repotest.FetchAll(t.Context(), p.Reader(), []chunk.ID{second.contents.Items[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	repotest.WantError(t, errs[0], crypto.ErrIntegrity, "rebuild chunk")
}
