package lookup

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// model is a repository's index objects, and what a local index of them should say.
type model struct {
	objects map[int]*index.Object
	signers map[int]string
	gone    map[int]bool
}

func (m *model) live() []int {
	replaced := map[signed]bool{}
	for n, obj := range m.objects {
		if !m.gone[n] {
			for _, id := range obj.Replaces {
				replaced[signed{id, m.signers[n]}] = true
			}
		}
	}
	var live []int
	for n := range m.objects {
		if !m.gone[n] && !replaced[signed{objectID(n), m.signers[n]}] {
			live = append(live, n)
		}
	}
	return live
}

// catchUp does what a reader of the repository does: retain what is there, add what is not known.
func (m *model) catchUp(t *testing.T, x *Index) {
	t.Helper()
	there := map[index.ObjectID]bool{}
	for n := range m.objects {
		there[objectID(n)] = !m.gone[n]
	}
	if err := x.Retain(func(s Source) bool { return there[s.Object] }); err != nil {
		t.Fatal(err)
	}
	known, sources := map[index.ObjectID]bool{}, map[Source]bool{}
	for _, s := range x.Sources() {
		if sources[s] || !there[s.Object] {
			t.Fatalf("source %v is named twice, or gone", s.Object)
		}
		sources[s], known[s.Object] = true, true
	}
	for n, obj := range m.objects {
		if !m.gone[n] && !known[objectID(n)] {
			add(t, x, n, m.signers[n], obj)
		}
	}
}

func (m *model) compare(t *testing.T, x *Index, chunks int) {
	t.Helper()
	want := map[chunk.Key][]Location{}
	for _, n := range m.live() {
		locate(want, m.objects[n], m.signers[n])
	}
	var entries int64
	for c := range chunks {
		key := chunkKey(c)
		entries += int64(len(want[key]))
		found, err := x.Lookup(key, nil)
		if err != nil || !same(found, want[key]) {
			t.Fatalf("chunk %d is at\n%+v, %v, want\n%+v", c, found, err, want[key])
		}
		for _, typ := range []pack.Type{pack.WholeContent, pack.WholeTree} {
			for _, signer := range []string{"A", "B"} {
				var lengths []int
				for _, l := range found {
					if l.Type == typ && l.Pack.Signer == signer {
						lengths = append(lengths, l.Length)
					}
				}
				n, ok, err := x.Has(key, typ, func(o *Origin) bool { return o.Signer == signer })
				if err != nil || ok != (len(lengths) > 0) || ok && !slices.Contains(lengths, n) {
					t.Fatalf("chunk %d of type %d by %s: %d, %v, %v, want one of %v", c, typ, signer, n, ok, err, lengths)
				}
			}
		}
	}
	if x.Entries() != entries {
		t.Fatalf("%d entries, want %d", x.Entries(), entries)
	}
}

func TestModel(t *testing.T) {
	const chunks = 300
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := random(seed)
			dir := t.TempDir()
			m := &model{map[int]*index.Object{}, map[int]string{}, map[int]bool{}}
			x, other := openIn(t, dir), openIn(t, dir)
			for step := range 120 {
				switch op := r.IntN(24); {
				case op >= 20:
					m.merge(t, r)
					m.catchUp(t, x)
				case op < 9:
					m.store(r, chunks)
					m.catchUp(t, x)
				case op < 15:
					flush(t, x)
				case op < 17:
					n := r.IntN(len(m.objects) + 1)
					m.gone[n] = !m.gone[n] && m.objects[n] != nil
					m.catchUp(t, x)
				case op < 18:
					m.catchUp(t, other)
					flush(t, other)
				default:
					x.Close()
					x = openIn(t, dir)
					m.catchUp(t, x)
				}
				if step%15 == 14 {
					m.compare(t, x, chunks)
				}
			}
			m.catchUp(t, other)
			m.compare(t, other, chunks)
		})
	}
}

// store adds an index object to the model's repository.
func (m *model) store(r *rand.Rand, chunks int) {
	var blobs []blob
	for range r.IntN(100) {
		blobs = append(blobs, blob{r.IntN(chunks), pack.WholeContent})
	}
	obj := objectOf(r, blobs)
	var trees []blob
	for range r.IntN(10) {
		trees = append(trees, blob{r.IntN(chunks), pack.WholeTree})
	}
	for _, p := range objectOf(r, trees).Runs[0].Packs {
		p.Directory.Kind = pack.Metadata
		obj.Runs = append(obj.Runs, index.Run{Packs: []index.Pack{p}})
	}
	n := len(m.objects)
	if r.IntN(4) == 0 {
		for range r.IntN(4) { // of another signer too, which must have no effect
			obj.Replaces = append(obj.Replaces, objectID(r.IntN(n+1)))
		}
	}
	m.objects[n], m.signers[n] = obj, []string{"A", "B"}[r.IntN(2)]
	if slices.Contains(obj.Replaces, objectID(n)) {
		obj.Replaces = nil
	}
}

// merge has one or two processes of a host join some of its objects. What the repository says must not change, nor when what they
// stand for is gone.
func (m *model) merge(t *testing.T, r *rand.Rand) {
	t.Helper()
	signer := []string{"A", "B"}[r.IntN(2)]
	var parts []index.Stored
	for _, n := range m.live() {
		if m.signers[n] == signer && r.IntN(4) > 0 {
			parts = append(parts, index.Stored{ID: objectID(n), Time: time.Unix(int64(n/3), 0), Object: *m.objects[n]})
		}
	}
	if len(parts) == 0 {
		return
	}
	before := m.says()
	for range 1 + r.IntN(2) {
		n := len(m.objects)
		joined := index.Join(parts, nil)
		m.objects[n], m.signers[n] = &joined, signer
	}
	if !maps.Equal(before, m.says()) {
		t.Fatalf("joining %d objects changed what they say", len(parts))
	}
	if r.IntN(2) == 0 {
		return
	}
	for _, p := range parts {
		for n := range m.objects {
			if objectID(n) == p.ID {
				m.gone[n] = true
			}
		}
	}
	if !maps.Equal(before, m.says()) {
		t.Fatalf("%d objects went, and what was joined of them does not say the same", len(parts))
	}
}

// says returns all that the objects that count say, each once.
func (m *model) says() map[flat]bool {
	all := map[chunk.Key][]Location{}
	for _, n := range m.live() {
		locate(all, m.objects[n], m.signers[n])
	}
	said := map[flat]bool{}
	for _, locations := range all {
		for _, l := range locations {
			said[flatten(l)] = true
		}
	}
	return said
}
