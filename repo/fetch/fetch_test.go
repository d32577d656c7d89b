package fetch

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/create"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/view"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var hostKey = sync.OnceValue(func() *crypto.Key { return must(crypto.Generate("host", noon.Add(-time.Hour), nil)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A place is a repository in memory whose packs are made by hand.
type place struct {
	*Reader
	t      testing.TB
	memory *store.Memory
	namers map[pack.Kind]*chunk.Namer
}

func newPlace(t testing.TB) *place {
	t.Helper()
	ctx, now := context.Background(), func() time.Time { return noon }
	memory := store.NewMemory(now)
	keys := must(create.Repository(ctx, memory, create.Options{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{hostKey()}, Now: now}))
	warn := func(err error) { t.Logf("warning: %v", err) }
	objects := must(sealed.OpenContent(ctx, memory, keys, keyring.Held(hostKey()), sealed.Options{Now: now, Random: rand.Reader, Warn: warn}))
	if err := objects.SetHost(hostKey()); err != nil {
		t.Fatal(err)
	}
	local := view.New(objects, view.Options{Connections: 2, Now: now, Warn: warn})
	t.Cleanup(func() { local.Close() })
	if err := local.SyncIndex(ctx); err != nil {
		t.Fatal(err)
	}
	return &place{New(objects, local, Options{Connections: 2}), t, memory, map[pack.Kind]*chunk.Namer{
		pack.Content: objects.Namer(), pack.Metadata: chunk.NewNamer(objects.Secret(), chunk.Metadata)}}
}

// A blob is what a pack is to hold: under its own id, or one that is given.
type blob struct {
	typ  pack.Type
	id   chunk.ID
	data []byte
}

// save stores and indexes a pack of frames, each of blobs, and returns its name and their ids.
func (p *place) save(kind pack.Kind, frames ...[]blob) (name string, ids []chunk.ID) {
	p.t.Helper()
	m := must(must(p.objects.PackSealer(kind, hostKey())).Begin(nil))
	c := must(pack.NewCompressor(pack.Default))
	d := pack.Directory{Kind: kind, Owner: "db1"}
	for _, blobs := range frames {
		var f pack.Frame
		var plain []byte
		for _, b := range blobs {
			if b.id == (chunk.ID{}) {
				b.id = p.namers[kind].ID(b.data)
			}
			ids = append(ids, b.id)
			f.Blobs = append(f.Blobs, pack.Blob{Key: b.id.Key(), Type: b.typ, Length: len(b.data)})
			plain = append(plain, b.data...)
		}
		stored := c.Append(nil, plain, pack.Opaque)
		m.Buf = append(m.Buf, stored...)
		f.Stored, f.Plain = len(stored), len(plain)
		d.Frames = append(d.Frames, f)
	}
	m.Buf = d.Tail(m.Buf, false)
	object := must(m.Seal())
	entry := sealed.Indexed(sha256.Sum256(object.Object), object.Object, object.Envelope, object.Key, d)
	name = sealed.PackName(kind, entry.ID)
	must(p.memory.Put(p.t.Context(), name, object.Object))
	must(p.local.PutIndex(p.t.Context(), noon, &index.Object{Runs: []index.Run{{Owner: d.Owner, Begin: noon, Packs: []index.Pack{entry}}}}))
	return name, ids
}

// spoil flips a bit in the middle of a pack.
func (p *place) spoil(name string) {
	p.t.Helper()
	object := must(store.ReadAll(p.t.Context(), p.memory, name, 0))
	object[len(object)/2] ^= 1
	if err := p.memory.Delete(p.t.Context(), name); err != nil {
		p.t.Fatal(err)
	}
	must(p.memory.Put(p.t.Context(), name, object))
}

// want fails unless each chunk is delivered once: as that content, or for nil with an error.
func (p *place) want(content map[chunk.ID][]byte) (problems []error) {
	p.t.Helper()
	var ids []chunk.ID
	for id := range content {
		ids = append(ids, id)
	}
	var mu sync.Mutex
	seen := map[int]bool{}
	err := p.Fetch(p.t.Context(), ids, func(i int, data []byte, err error) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[i] {
			return fmt.Errorf("chunk %v comes again", ids[i])
		}
		seen[i] = true
		if want := content[ids[i]]; (err == nil) != (want != nil) || !bytes.Equal(data, want) {
			return fmt.Errorf("chunk %v comes as %d bytes, not %d: %w", ids[i], len(data), len(want), err)
		}
		if err != nil {
			problems = append(problems, err)
		}
		return nil
	})
	if err != nil || len(seen) != len(ids) {
		p.t.Errorf("%d of %d chunks came, %v", len(seen), len(ids), err)
	}
	return problems
}

func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data) // which never fails
	return data
}

func whole(data []byte) blob { return blob{typ: pack.WholeContent, data: data} }

// Spans are rounded to cipher blocks: frames of a few bytes share theirs with a neighbour, and begin where it does.
func TestFramesWithinOneBlock(t *testing.T) {
	p := newPlace(t)
	content := map[chunk.ID][]byte{}
	var frames [][]blob
	for i := range 40 {
		frames = append(frames, []blob{whole(noise(3 + i%3))}, []blob{whole(noise(600<<10 + i%16))})
	}
	for some := range slices.Chunk(frames, 30) {
		_, ids := p.save(pack.Content, some...)
		for i, id := range ids {
			content[id] = some[i][0].data
		}
	}
	for range 3 {
		p.want(content)
	}
}

// What is damaged in one place comes from another, or as what it is made of; and the reason names all places in vain.
func TestDamage(t *testing.T) {
	p := newPlace(t)
	data, source := noise(10_000), noise(20_000)
	recipe := func(of []byte, from chunk.ID) []byte {
		return (&delta.Recipe{Length: len(of), Sources: []delta.Source{{ID: from, Length: len(source)}}, Copies: []delta.Copy{{Source: 1, Offset: 5, Length: len(of)}}}).Append(nil)
	}
	one, ids := p.save(pack.Content, []blob{whole(data)})
	other, _ := p.save(pack.Content, []blob{whole(data)}, []blob{whole(noise(1))})
	_, sources := p.save(pack.Content, []blob{whole(source)})
	id := ids[0]
	made := source[5:][:9000]
	madeID := p.namers[pack.Content].ID(made)
	p.save(pack.Metadata, []blob{{pack.RecipeFor + pack.WholeContent, madeID, recipe(made, sources[0])},
		{pack.RecipeFor + pack.WholeContent, id, recipe(data, sources[0])}}) // of which the second lies
	p.want(map[chunk.ID][]byte{id: data, sources[0]: source, madeID: made})
	p.spoil(one)
	p.want(map[chunk.ID][]byte{id: data})
	p.spoil(other)
	problems := p.want(map[chunk.ID][]byte{id: nil, madeID: made, {9}: nil})
	text := errors.Join(problems...).Error()
	for _, part := range []string{one, other, "rebuild chunk", ErrMissing.Error()} {
		if !strings.Contains(text, part) {
			t.Errorf("error %q does not say %q", text, part)
		}
	}
	for _, err := range problems {
		if !errors.Is(err, crypto.ErrIntegrity) {
			t.Errorf("error %q is of another kind", err)
		}
	}
}

// A tree is read as itself or as a recipe; a recipe in turn leans on no recipe.
func TestMetadata(t *testing.T) {
	p := newPlace(t)
	first, second := noise(5000), noise(5000)
	copy(second[:4000], first)
	_, firsts := p.save(pack.Metadata, []blob{{typ: pack.WholeTree, data: first}})
	_, literals := p.save(pack.Metadata, []blob{{typ: pack.WholeTree, data: second[4000:]}})
	r := &delta.Recipe{Length: 5000, Literal: delta.Source{ID: literals[0], Length: 1000}, Sources: []delta.Source{{ID: firsts[0], Length: 5000}},
		Copies: []delta.Copy{{Source: 1, Length: 4000}, {Source: 0, Length: 1000}}}
	id := p.namers[pack.Metadata].ID(second)
	name, _ := p.save(pack.Metadata, []blob{{pack.RecipeFor + pack.WholeTree, id, r.Append(nil)}})
	for id, want := range map[chunk.ID][]byte{firsts[0]: first, id: second} {
		if got, err := p.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if whole, got, err := p.Tree(t.Context(), id.Key()); err != nil || whole != id || !bytes.Equal(got, want) {
			t.Errorf("by half its id: %v, %d bytes, %v", whole, len(got), err)
		}
	}
	places, err := p.Places(t.Context(), id, pack.Metadata, func(index.ObjectID) bool { return true })
	if err != nil || len(places) != 3 || sealed.PackName(pack.Metadata, places[0]) != name {
		t.Errorf("it takes packs %v, %v", places, err)
	}
	if _, err := p.Metadata(t.Context(), chunk.ID{9}); !errors.Is(err, ErrMissing) {
		t.Errorf("an unknown tree: %v", err)
	}
	// What a recipe leans on is no recipe.
	again := &delta.Recipe{Length: 5000, Sources: []delta.Source{{ID: id, Length: 5000}}, Copies: []delta.Copy{{Source: 1, Length: 5000}}}
	if _, err := p.Make(t.Context(), id.Key(), again, pack.WholeTree); !errors.Is(err, ErrMissing) {
		t.Errorf("a recipe of a recipe: %v", err)
	}
}

// What is copied on a pack's word is tried: recipes by what they make, chunks by their bytes, and the rest of a spoilt pack frame by frame.
func TestTry(t *testing.T) {
	p := newPlace(t)
	source := noise(100_000)
	name, ids := p.save(pack.Content, []blob{whole(noise(100_000))}, []blob{whole(source)}, []blob{whole(noise(100_000))})
	r := &delta.Recipe{Length: 50, Sources: []delta.Source{{ID: ids[1], Length: len(source)}}, Copies: []delta.Copy{{Source: 1, Offset: 7, Length: 50}}}
	if err := p.Try(t.Context(), p.namers[pack.Content].ID(source[7:57]).Key(), r); err != nil {
		t.Error(err)
	}
	if err := p.Try(t.Context(), chunk.Key{1}, r); !errors.Is(err, crypto.ErrIntegrity) {
		t.Errorf("a recipe for something else: %v", err)
	}
	err := p.Whole(t.Context(), ids[1].Key(), func(data []byte, err error) error {
		if !bytes.Equal(data, source) {
			return fmt.Errorf("%d bytes: %w", len(data), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	object := must(store.ReadAll(t.Context(), p.memory, name, 0))
	entry := must(p.objects.OpenPack(t.Context(), must(p.memory.Stat(t.Context(), name)), bytes.Clone(object)))
	object[len(object)/2] ^= 1
	var left []chunk.Key
	if err := p.Blobs(object, entry, func(b pack.Blob, _ []byte) error { left = append(left, b.Key); return nil }); err != nil {
		t.Error(err)
	}
	if want := []chunk.Key{ids[0].Key(), ids[2].Key()}; !slices.Equal(left, want) {
		t.Errorf("of a pack that is spoilt in the middle %x are left, not %x", left, want)
	}
}
