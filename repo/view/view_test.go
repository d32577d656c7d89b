package view

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/create"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A place is a repository in memory with nothing in it.
type place struct {
	t      testing.TB
	memory *store.Memory
	now    time.Time // of the store and the hosts
	keys   *keyring.Keyring
	warned []error
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Keys are made once: real ones, but not for every test.
var (
	hostKey     = sync.OnceValue(func() *crypto.Key { return mustKey("host") })
	recoveryKey = sync.OnceValue(func() *crypto.Key { return mustKey("recovery") })
)

func mustKey(name string) *crypto.Key { return must(crypto.Generate(name, noon.Add(-time.Hour), nil)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, now: noon}
	p.memory = store.NewMemory(p.clock)
	p.keys = must(create.Repository(t.Context(), p.memory, create.Options{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey()}, Now: p.clock}))
	return p
}

func (p *place) clock() time.Time { return p.now }

func (p *place) warn(err error) { p.warned = append(p.warned, err) }

// local is that of the host, which may sign as the root, too.
func (p *place) local() *Local {
	p.t.Helper()
	objects := must(sealed.OpenContent(p.t.Context(), p.memory, p.keys, keyring.Held(recoveryKey()), sealed.Options{Now: p.clock, Random: rand.Reader, Warn: p.warn}))
	if err := objects.SetHost(hostKey()); err != nil {
		p.t.Fatal(err)
	}
	v := New(objects, Options{Connections: 2, Now: p.clock, Warn: p.warn})
	p.t.Cleanup(func() { v.Close() })
	return v
}

// object is an index object of one pack of one chunk, both called by a number.
func object(n byte) *index.Object {
	frame := pack.Frame{Stored: 20, Plain: 10, Blobs: []pack.Blob{{Key: chunk.Key{n}, Type: pack.WholeContent, Length: 10}}}
	return &index.Object{Runs: []index.Run{{Owner: "db1", Begin: noon, Packs: []index.Pack{{
		ID: index.ObjectID{n}, Size: 1000, Session: make([]byte, 96),
		Directory: pack.Directory{Kind: pack.Content, Owner: "db1", Frames: []pack.Frame{frame}}, Hashes: make([][32]byte, 1),
	}}}}}
}

// condemn lists packs.
func (p *place) condemn(v *Local, packs ...index.ObjectID) {
	p.t.Helper()
	must(v.objects.PutRecord(p.t.Context(), record.CondemnedKind, must(record.Encode(&record.Condemned{Packs: packs, View: p.now}))))
}

func wantPlaces(t *testing.T, v *Local, n byte, want int) {
	t.Helper()
	if all, err := v.Lookup(t.Context(), chunk.Key{n}); err != nil || len(all) != want {
		t.Errorf("chunk %d is in %d places, not %d: %v", n, len(all), want, err)
	}
}

// What one process indexes others find with their next view, and lose when it is gone.
func TestTake(t *testing.T) {
	p := newPlace(t)
	one, other := p.local(), p.local()
	for _, v := range []*Local{one, other} {
		if unread, err := v.Take(t.Context()); unread != nil || err != nil {
			t.Fatal(unread, err)
		}
	}
	info := must(one.PutIndex(t.Context(), noon, object(1)))
	wantPlaces(t, one, 1, 1)
	wantPlaces(t, other, 1, 0)
	p.condemn(one, index.ObjectID{7})
	if unread, err := other.Take(t.Context()); unread != nil || err != nil {
		t.Fatal(unread, err)
	}
	wantPlaces(t, other, 1, 1)
	if !other.Lists().Touches(index.ObjectID{7}) || one.Lists().Touches(index.ObjectID{7}) {
		t.Error("the list is known to the wrong ones")
	}
	if err := other.AddUnlisted(object(2).Runs[0].Packs); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, other, 2, 1)
	if err := p.memory.Delete(t.Context(), info.Name); err != nil {
		t.Fatal(err)
	}
	if err := other.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, other, 1, 0)
	wantPlaces(t, other, 2, 0)
	if len(p.warned) > 0 {
		t.Errorf("warned of %v", p.warned)
	}
}

// An index object that the store dates otherwise than it says of itself is not taken in; others take it in as nobody's.
func TestPutIndexLate(t *testing.T) {
	p := newPlace(t)
	v := p.local()
	if err := v.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	info := must(v.PutIndex(t.Context(), noon.Add(-time.Hour), object(1)))
	if !info.Time.Equal(noon) {
		t.Errorf("stored at %v", info.Time)
	}
	wantPlaces(t, v, 1, 0)
	if err := v.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, v, 1, 1)
	run := v.Begin(noon, func(o *lookup.Origin) bool { return !o.Late })
	defer run.Close()
	if ok, err := run.Refer(chunk.Key{1}, pack.WholeContent); ok || err != nil {
		t.Errorf("a run builds on it: %v", err)
	}
	if len(p.warned) != 1 {
		t.Errorf("warned of %v", p.warned)
	}
}

// A run takes another view after half the grace, and keeps to the old one if that names what it refers to, or has sent, until the grace is over.
func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		condemned byte
		views     int
	}{
		"nothing":            {9, 2},
		"what it refers to":  {1, 1},
		"what it has sent":   {3, 1},
		"what it looked at":  {4, 2},
		"what it never used": {2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			v := p.local()
			if err := v.SyncIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, n := range []byte{1, 2, 4} {
				must(v.PutIndex(t.Context(), noon, object(n)))
			}
			run := v.Begin(noon, func(o *lookup.Origin) bool { return o.Signer == string(hostKey().Fingerprint()) })
			defer run.Close()
			refer := func(n byte) bool {
				return must(run.Refer(chunk.Key{n}, pack.WholeContent, pack.RecipeFor+pack.WholeContent))
			}
			if !refer(1) || refer(5) || !must(run.Indexed(chunk.Key{4}, pack.WholeContent)) {
				t.Error("it knows what is not indexed, or not what is")
			}
			run.Sent(index.ObjectID{3})
			grace := p.keys.Grace(noon)
			if run.Due() {
				t.Error("the store is to be asked at once")
			}
			p.now = noon.Add(grace / 2)
			if !run.Due() || run.Due() {
				t.Error("the store is to be asked once after a while")
			}
			p.condemn(v, index.ObjectID{test.condemned})
			now, renewed, err := run.Current(t.Context())
			if err != nil || !now.Equal(p.now) || renewed != (test.views == 2) || len(run.Views()) != test.views || len(p.warned) != 2-test.views {
				t.Errorf("at %v: renewed %t, views %v, warned of %v, %v", now, renewed, run.Views(), p.warned, err)
			}
			// Whether the view counts or not, what it names is not referred to any more.
			for _, n := range []byte{1, 2, 4} {
				if ok := refer(n); ok != (n != test.condemned) {
					t.Errorf("it refers to chunk %d: %t", n, ok)
				}
			}
			p.now = noon.Add(grace)
			if _, _, err := run.Current(t.Context()); err != nil {
				t.Error(err)
			}
			p.now = p.now.Add(time.Second)
			if _, _, err := run.Current(t.Context()); (err == nil) != (test.views == 2) {
				t.Errorf("after the grace: %v", err)
			}
		})
	}
}

// Whatever the local index, which is only a cache, says of who signed an index object: those of others are not merged.
func TestReadIndexesOfOthers(t *testing.T) {
	p := newPlace(t)
	v := p.local()
	theirs := must(v.objects.AddIndex(t.Context(), object(1)))
	ours := must(v.objects.PutRecord(t.Context(), "index", dated(object(2)).Append(nil)))
	for _, info := range []store.Info{theirs, ours} {
		id, _ := store.SumOf(info.Name)
		parts, err := v.readIndexes(t.Context(), []listedIndex{{id, info.Size, info.Time}})
		if err != nil || (len(parts) == 1) != (info.Name == ours.Name) {
			t.Errorf("%d parts, %v", len(parts), err)
		}
	}
	if len(p.warned) != 1 {
		t.Errorf("warned of %v", p.warned)
	}
}

func dated(o *index.Object) *index.Object { o.Time = noon; return o }
