package save_test

import (
	"slices"
	"testing"

	"nightjar/chunk/delta"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
)

// The grid follows the pages of a file, wherever its chunks begin: what changes at the edges of pages costs no more than that, and readers, recipes and repacking take
// the runs as they take those of a literal.
func TestPagedFile(t *testing.T) {
	const page, head, tail, count = 16 << 10, 38, 8, 24
	const size = 5*page + 5000
	p := repotest.NewPlace(t)
	data := pages(3, page*count)
	first := (&night{page: page}).save(t, p.Open(repotest.HostKey()), data, size)
	runs := delta.PageRuns(nil, size, size, page)
	change := func(seed int) (changed, chunks int) { // head and trailer of every second page, as when rows change
		for at := 0; at < len(data); at += 2 * page {
			copy(data[at:], repotest.Noise(seed+at, 16))
			copy(data[at+page-tail:], repotest.Noise(seed+at+1, tail))
			changed += 2 * (tail + head) // two runs
		}
		return changed, (len(data) + size - 1) / size
	}
	most, deltas := change(100)
	second := first.save(t, p.Open(repotest.HostKey()), data, size)
	if n := int(second.sent.Literals.Load()); int(second.sent.Deltas.Load()) != deltas || n > most {
		t.Errorf("%d deltas, %d bytes of literals for %d that changed", second.sent.Deltas.Load(), n, most)
	}
	first.restored(t, p.Reader())
	second.restored(t, p.Reader())

	// Written anew by the root, signature and all.
	signed := func() (out []string) {
		rd := p.Reader()
		all := repotest.Must(rd.Locations(t.Context(), first.contents.Items[1].ID, pack.SignatureOf+pack.WholeContent))
		for _, at := range all {
			encoded := repotest.Must(rd.Blob(t.Context(), at))
			if got := repotest.Must(delta.DecodeSignature(encoded)).Runs(); !slices.Equal(got, runs) {
				t.Errorf("a signature of %d runs, want %d", len(got), len(runs))
			}
			if got := repotest.Must(delta.DecodeSignature(encoded)).Block(); got != 256 {
				t.Errorf("blocks of %d bytes", got)
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
	err := save.Repack(t.Context(), r, "db1", p.Clock.Now(), new(save.Sent), func(to *save.Repacker) error {
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
	most, deltas = change(9000)
	third := second.save(t, p.Open(repotest.HostKey()), data, size)
	if n := int(third.sent.Literals.Load()); int(third.sent.Deltas.Load()) != deltas || n > most {
		t.Errorf("the night after: %d deltas, %d bytes of literals for %d", third.sent.Deltas.Load(), n, most)
	}
	third.restored(t, p.Reader())
}

// The shorter the lines, the finer the blocks: a line that changes costs about one.
func TestLines(t *testing.T) {
	const size, lines = 512 << 10, 5_000
	for _, c := range []struct{ line, block int }{{48, 128}, {110, 192}, {200, 256}} {
		p := repotest.NewPlace(t)
		data := repotest.Noise(c.line, c.line*lines)
		for at := range lines {
			line := data[at*c.line:][:c.line]
			for i := range line {
				line[i] = 'a' + line[i]%16 // so that it compresses
			}
			line[c.line-1] = '\n'
		}
		first := (&night{fine: true}).save(t, p.Open(repotest.HostKey()), data, size)
		changed := 0
		for at := 0; at < lines; at += 100 {
			copy(data[at*c.line:], "12345678")
			changed++
		}
		second := first.save(t, p.Open(repotest.HostKey()), data, size)
		if n := int(second.sent.Literals.Load()); n > changed*(c.block+c.block/4) || n < changed*c.block {
			t.Errorf("lines of %d: %d bytes of literals for %d that changed, in blocks of %d", c.line, n, changed, c.block)
		}
		second.restored(t, p.Reader())
	}
}
