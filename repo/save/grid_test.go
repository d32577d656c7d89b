package save_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"nightjar/chunk/delta"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A whole chunk may have a signature of several runs, as a grid that follows a database's pages has them: what is matched with it, the recipes that lean on it, and
// repacking take it as they take one of a literal.
func TestWholeOfSeveralRuns(t *testing.T) {
	const page, head, tail, count = 16 << 10, 38, 8, 24
	p := repotest.NewPlace(t)
	data := pages(3, page*count)
	runs := []int{head}
	for range count - 1 {
		runs = append(runs, page-head-tail, tail+head)
	}
	runs = append(runs, page-head-tail, tail)
	first := &night{data: bytes.Clone(data)}
	host := p.Open(repotest.HostKey())
	_, err := save.Write(t.Context(), host, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		id := s.ID(data)
		if err := s.Sign(id, data, runs); err != nil {
			return nil, err
		}
		first.contents.Items = []tree.Item{{ID: id, Length: int64(len(data))}}
		if err := s.Put(pack.Binary, data, pack.Blob{Key: id.Key(), Type: pack.WholeContent, Length: len(data)}); err != nil {
			return nil, err
		}
		a := &repo.Record{Host: "db1", Job: "job"}
		a.Root.ID, err = s.Tree([]byte("tree"))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	change := func(seed int) int { // head and trailer of every second page, as when rows change
		changed := 0
		for at := 0; at < len(data); at += 2 * page {
			copy(data[at:], repotest.Noise(seed+at, 16))
			copy(data[at+page-tail:], repotest.Noise(seed+at+1, tail))
			changed += 2 * (tail + head) // two runs
		}
		return changed
	}
	most := change(100)
	second := first.save(t, p.Open(repotest.HostKey()), data, len(data))
	if n := int(second.sent.Literals.Load()); second.sent.Deltas.Load() != 1 || n > most {
		t.Errorf("%d deltas, %d bytes of literals for %d that changed", second.sent.Deltas.Load(), n, most)
	}
	first.restored(t, p.Reader())
	second.restored(t, p.Reader())

	// Written anew by the root, signature and all.
	signed := func() (out []string) {
		rd := p.Reader()
		all := repotest.Must(rd.Locations(t.Context(), first.contents.Items[0].ID, pack.SignatureOf+pack.WholeContent))
		for _, at := range all {
			encoded := repotest.Must(rd.Blob(t.Context(), at))
			if got := repotest.Must(delta.DecodeSignature(encoded)).Runs(); !slices.Equal(got, runs) {
				t.Errorf("a signature of %d runs, want %d", len(got), len(runs))
			}
			out = append(out, string(encoded))
		}
		return out
	}
	before := signed()
	if len(before) != 1 {
		t.Fatalf("%d signatures", len(before))
	}
	r := p.Unlocked()
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = save.Repack(t.Context(), r, "db1", p.Clock.Now(), new(save.Sent), func(to *save.Repacker) error {
		for _, kind := range []string{"content/", "metadata/"} {
			for _, name := range p.Names(kind) {
				info := repotest.Must(p.Memory.Stat(t.Context(), name))
				if err := to.Pack(info, func(pack.Blob) bool { return true }); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := signed(); len(after) != 2 || after[0] != before[0] || after[1] != before[0] {
		t.Errorf("%d signatures after repacking, of which the second should be the first again", len(after))
	}
	most = change(9000)
	third := second.save(t, p.Open(repotest.HostKey()), data, len(data))
	if n := int(third.sent.Literals.Load()); third.sent.Deltas.Load() != 1 || n > most {
		t.Errorf("the night after: %d deltas, %d bytes of literals for %d", third.sent.Deltas.Load(), n, most)
	}
	third.restored(t, p.Reader())
}
