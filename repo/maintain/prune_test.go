package maintain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

const (
	grace = 7 * 24 * time.Hour
	ripe  = grace + 11*time.Minute
)

// clocked is a site whose store, and host, have a clock that is moved by hand.
type clocked struct {
	*site
	at time.Time
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	c := &clocked{at: time.Now().Add(time.Minute)}
	c.site = newSiteAt(t, func() time.Time { return c.at })
	return c
}

func (c *clocked) pass(d time.Duration) { c.at = c.at.Add(d) }

// copied returns the same site with a store of its own.
func (c *clocked) copied() *clocked {
	c.t.Helper()
	n := &clocked{at: c.at}
	s := *c.site
	n.site = &s
	var put time.Time
	s.store = store.NewMemory(func() time.Time {
		if put.IsZero() {
			return n.at
		}
		return put
	})
	s.now = func() time.Time { return n.at }
	s.files, s.past, s.trees = maps.Clone(c.files), maps.Clone(c.past), maps.Clone(c.trees)
	err := c.store.List(context.Background(), "", func(i store.Info) error {
		put = i.Time
		_, err := s.store.Put(context.Background(), i.Name, c.read(i.Name))
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	put = time.Time{}
	return n
}

func (c *clocked) forget(archives ...*repo.Archive) {
	c.t.Helper()
	var f record.Forget
	for _, a := range archives {
		id, err := index.ParseObjectID(a.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		f.Archives = append(f.Archives, record.Forgotten{Archive: id, Host: a.Host, Job: a.Job, Time: a.Time, Reason: "test"})
	}
	content, err := record.Encode(&f)
	if err == nil {
		_, err = c.open(false).PutRecord(context.Background(), record.ForgetKind, content)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *clocked) prune(o maintain.PruneOptions) maintain.Pruned {
	c.t.Helper()
	done, err := c.pruneAt(c.store, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return done
}

func (c *clocked) pruneAt(s store.Store, o maintain.PruneOptions) (maintain.Pruned, error) {
	r := c.openAt(s, o.Repack)
	o.Problem = func(err error) { c.t.Logf("problem: %v", err) }
	return maintain.Prune(context.Background(), r, o)
}

// whole wants all that archives need to be there, down to the last byte.
func (c *clocked) whole() {
	c.t.Helper()
	if sum, found := c.check(true, maintain.CheckOptions{ReadData: true}); sum.Faults > 0 {
		c.t.Errorf("%d archives, found %q", sum.Archives, found)
	}
}

func (c *clocked) wantObjects(kind string, n int) {
	c.t.Helper()
	if names := c.names(kind); len(names) != n {
		c.t.Errorf("%d objects of kind %s, want %d", len(names), kind, n)
	}
}

func TestPrune(t *testing.T) {
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(900_000), "beta": random(700_000)}
	first := c.night()
	c.pass(24 * time.Hour)
	c.files = map[string][]byte{"alpha": c.files["alpha"], "aside": random(5000)}
	second := c.night()
	if done := c.prune(maintain.PruneOptions{}); done != (maintain.Pruned{Archives: 2}) {
		t.Errorf("with nothing to do: %+v", done)
	}
	c.forget(first)
	c.pass(grace)
	if done := c.prune(maintain.PruneOptions{}); done != (maintain.Pruned{Archives: 2}) {
		t.Errorf("before the grace has passed: %+v", done)
	}
	c.pass(time.Minute)
	c.whole()
	plan := c.prune(maintain.PruneOptions{DryRun: true})
	c.wantObjects("archive", 2)
	c.wantObjects("condemned", 0)
	done := c.prune(maintain.PruneOptions{})
	// The first night's content is one pack, half of which is needed; its trees are in another, and not one is.
	if done != plan || done.Archives != 1 || done.ArchivesRemoved != 1 || done.PacksCondemned != 1 || done.PacksRemoved != 0 {
		t.Errorf("condemned %+v, planned %+v", done, plan)
	}
	if want := c.at.Add(grace + repo.MaxSkew); !done.Due.Equal(want) {
		t.Errorf("due at %v, want %v", done.Due, want)
	}
	c.whole()
	c.wantObjects("archive", 1)
	c.wantObjects("condemned", 1)
	c.wantObjects("metadata", 2)
	c.pass(grace)
	if again := c.prune(maintain.PruneOptions{}); again.PacksWaiting != 1 || again.PacksCondemned != 0 || again.PacksRemoved != 0 || !again.Due.Equal(done.Due) {
		t.Errorf("too early: %+v", again)
	}
	c.pass(11 * time.Minute)
	plan = c.prune(maintain.PruneOptions{DryRun: true})
	c.wantObjects("metadata", 2)
	if done = c.prune(maintain.PruneOptions{}); done != plan || done.PacksRemoved != 1 || done.BytesRemoved == 0 || done.ListsRemoved != 1 {
		t.Errorf("dropped %+v, planned %+v", done, plan)
	}
	c.wantObjects("metadata", 1)
	c.wantObjects("condemned", 0)
	c.wantObjects("dropped", 1)
	c.wantObjects("forget", 1)
	c.whole()
	if done = c.prune(maintain.PruneOptions{}); done != (maintain.Pruned{Archives: 1}) {
		t.Errorf("afterwards %+v", done)
	}
	// What is gone is sent again.
	c.files = map[string][]byte{"alpha": c.files["alpha"], "beta": random(7000)}
	c.night()
	c.forget(second)
	for range 5 {
		c.pass(ripe)
		c.prune(maintain.PruneOptions{})
		c.whole()
	}
	c.wantObjects("archive", 1)
}

// A run that knows nothing of the condemned list uses what it names, and commits in time.
func TestPruneReprieves(t *testing.T) {
	c := newClocked(t)
	old := map[string][]byte{"alpha": random(900_000), "beta": random(700_000)}
	c.files = old
	first := c.night()
	c.files = map[string][]byte{"gamma": random(5000)}
	c.night()
	c.forget(first)
	c.pass(ripe)
	c.files = map[string][]byte{"alpha": old["alpha"]}
	if _, err := c.run(func() {
		if done := c.prune(maintain.PruneOptions{}); done.PacksCondemned != 2 {
			t.Fatalf("condemned %+v", done)
		}
		c.pass(time.Hour)
	}); err != nil {
		t.Fatal(err)
	}
	c.whole()
	c.pass(ripe)
	done := c.prune(maintain.PruneOptions{})
	// Alpha and the tree of its folder are needed; beta's tree and the old root do not come back with them.
	if done.PacksReprieved != 2 || done.PacksRemoved != 0 || done.BlobsRemoved != 3 {
		t.Errorf("dropped %+v", done)
	}
	c.whole()
	c.wantObjects("condemned", 1) // or else another prune could still drop what a new run uses
	if want := c.at.Add(grace); !done.Due.Equal(want) {
		t.Errorf("due at %v, want %v", done.Due, want)
	}
	c.pass(ripe)
	c.prune(maintain.PruneOptions{})
	c.wantObjects("condemned", 0)
	c.whole()
}

// newNights is a site with six archives: a file and a large folder that change a little every night, and one archive of something else.
func newNights(t *testing.T) (*clocked, []*repo.Archive) {
	t.Helper()
	c := newClocked(t)
	c.past, c.trees = map[string]tree.Contents{}, map[string][]tree.Item{}
	var text bytes.Buffer
	for i := range 9000 {
		fmt.Fprintf(&text, "line %d of the file, which is long enough to be worth a recipe: %x\n", i, i*i*7919)
	}
	c.files = map[string][]byte{"base": text.Bytes()}
	for i := range 300 {
		c.files[fmt.Sprintf("few%03d", i)] = []byte{byte(i), byte(i >> 8)}
	}
	c.files["other"] = random(900_000)
	archives := []*repo.Archive{c.night()}
	for night := range 4 {
		c.pass(24 * time.Hour)
		copy(c.files["base"][20_000*(night+1):], "changed in this night")
		c.files[fmt.Sprintf("few%03d", night)] = []byte("changed")
		c.files["other"] = random(900_000)
		archives = append(archives, c.night())
		if n := c.sent.Deltas.Load(); n == 0 {
			t.Fatal("nothing was stored as a recipe")
		}
	}
	files := c.files
	c.files = map[string][]byte{"zero": random(10)}
	archives = append(archives, c.night())
	c.files = files
	if n := c.blobs(pack.RecipeFor + pack.WholeTree); n == 0 {
		t.Fatal("no tree was stored as a recipe")
	}
	return c, archives
}

// blobs returns how many blobs of a type the index objects name.
func (c *clocked) blobs(typ pack.Type) (n int) {
	c.t.Helper()
	if err := c.open(false).IndexObjects(context.Background(), func(x repo.IndexRecord) error {
		for _, run := range x.Object.Runs {
			for _, p := range run.Packs {
				for _, f := range p.Directory.Frames {
					for _, b := range f.Blobs {
						if b.Type == typ {
							n++
						}
					}
				}
			}
		}
		return x.Err
	}); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// An archive whose recipes lean on what only an older archive held keeps just that.
func TestPruneKeepsBases(t *testing.T) {
	c, archives := newNights(t)
	c.wantObjects("content", 6)
	c.forget(archives[:4]...)
	c.forget(archives[5])
	var removed, blobs int
	for range 3 {
		c.pass(ripe)
		done := c.prune(maintain.PruneOptions{})
		removed, blobs = removed+done.PacksRemoved, blobs+done.BlobsRemoved
		c.whole()
	}
	if removed != 2 || blobs == 0 { // both of the last night, on which nothing leans; of the others a part is needed
		t.Errorf("%d packs and %d recipes and trees are gone", removed, blobs)
	}
	c.wantObjects("archive", 1)
	// The next night leans on nothing that is gone.
	copy(c.files["base"][100_000:], "changed again")
	c.files["few003"] = []byte("again")
	c.night()
	c.whole()
	c.forget(archives[4])
	for range 3 {
		c.pass(ripe)
		c.prune(maintain.PruneOptions{})
		c.whole()
	}
}

func TestPruneRepacks(t *testing.T) {
	c, archives := newNights(t)
	if _, err := maintain.Prune(t.Context(), c.open(false), maintain.PruneOptions{Repack: true}); err == nil {
		t.Error("it was repacked without a recovery key")
	}
	c.forget(archives[:4]...)
	c.forget(archives[5])
	c.pass(ripe)
	size := func() (n int64) {
		if err := c.store.List(t.Context(), "", func(i store.Info) error { n += i.Size; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	o := maintain.PruneOptions{Repack: true}
	plan := c.prune(maintain.PruneOptions{Repack: true, DryRun: true})
	// Four content packs of literals and what was condemned beside them; of the metadata those that no tree's recipe leans on.
	first := c.prune(o)
	if first.PacksRepacked < 4 || plan.PacksRepacked != first.PacksRepacked || first.PacksWritten == 0 || first.PacksCondemned != first.PacksRepacked+2 {
		t.Errorf("repacked %+v, planned %+v", first, plan)
	}
	c.whole()
	if again := c.prune(o); again.PacksRepacked != 0 || again.PacksCondemned != 0 {
		t.Errorf("repacked again %+v", again)
	}
	for range 3 {
		c.pass(ripe)
		c.prune(o)
		c.whole()
	}
	if after := size(); after > before/3 {
		t.Errorf("%d bytes are left of %d", after, before)
	}
	// A host takes the root's word, and goes on.
	copy(c.files["base"][100_000:], "changed again")
	c.night()
	if c.sent.Deltas.Load() == 0 {
		t.Error("signatures did not outlive repacking")
	}
	c.whole()
}

// A prune that ends before or after any change of the store has done no harm, and the next one finishes what it began.
func TestPruneCrashes(t *testing.T) {
	scenes := map[string]*clocked{}
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(900), "beta": random(700)}
	first := c.night()
	c.files = map[string][]byte{"gamma": random(5000)}
	c.night()
	c.files["delta"] = random(10)
	c.night()
	c.forget(first)
	c.pass(ripe)
	scenes["condemn"] = c.copied()
	c.prune(maintain.PruneOptions{})
	c.pass(ripe)
	scenes["drop"] = c.copied()
	died := errors.New("died")
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			want := scene.copied()
			want.site.t = t
			want.prune(maintain.PruneOptions{})
			for n, done := int64(1), false; !done; n++ {
				for _, after := range []bool{false, true} {
					c := scene.copied()
					c.site.t = t
					var calls atomic.Int64
					armed := false
					hook := func(c storetest.Call) error {
						if !armed || c.Op != storetest.Put && c.Op != storetest.Delete { // between these, one end is like another
							return nil
						}
						if calls.Add(1) >= n {
							return died
						}
						return nil
					}
					faulty := &storetest.Faulty{Store: c.store}
					if after {
						faulty.After = []storetest.Hook{hook}
					} else {
						faulty.Before = []storetest.Hook{hook}
					}
					r := c.openAt(faulty, false)
					armed = true
					_, err := maintain.Prune(context.Background(), r, maintain.PruneOptions{})
					if done = err == nil; !done && !errors.Is(err, died) {
						t.Fatalf("call %d: %v", n, err)
					}
					c.whole()
					c.prune(maintain.PruneOptions{})
					c.whole()
					for _, kind := range []string{"content", "metadata", "archive"} {
						if got := c.names(kind); !slices.Equal(got, want.names(kind)) {
							t.Fatalf("call %d: %s packs %q, want %q", n, kind, got, want.names(kind))
						}
					}
					if got := len(c.names("condemned")); got != len(want.names("condemned")) {
						t.Fatalf("call %d: %d condemned lists", n, got)
					}
				}
			}
		})
	}
}

// A repack that ends at any object that it stores loses nothing, and the next one does not send all of it again.
func TestPruneRepackCrashes(t *testing.T) {
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(900), "beta": random(70_000)}
	first := c.night()
	c.files = map[string][]byte{"alpha": c.files["alpha"]}
	c.night()
	c.forget(first)
	c.pass(ripe)
	o := maintain.PruneOptions{Repack: true}
	died := errors.New("died")
	for n, done := int64(1), false; !done; n++ {
		for _, after := range []bool{false, true} {
			again := c.copied()
			faulty := &storetest.Faulty{Store: again.store}
			hook := storetest.From(storetest.Put, n, died)
			if after {
				faulty.After = []storetest.Hook{hook}
			} else {
				faulty.Before = []storetest.Hook{hook}
			}
			_, err := again.pruneAt(faulty, o)
			if done = err == nil; !done && !errors.Is(err, died) {
				t.Fatalf("object %d: %v", n, err)
			}
			again.whole()
			for range 4 {
				again.prune(o)
				again.whole()
				again.pass(ripe)
			}
			again.wantObjects("content", 1)
			if size := len(again.read(again.names("content")[0])); size > 5000 {
				t.Errorf("object %d: the pack that is left has %d bytes", n, size)
			}
		}
	}
}

// Two prunes at the same time come to the same end, wherever one stops for the other.
func TestPruneTwice(t *testing.T) {
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(900), "beta": random(700)}
	first := c.night()
	c.files = map[string][]byte{"gamma": random(5000)}
	c.night()
	c.forget(first)
	c.pass(ripe)
	c.prune(maintain.PruneOptions{})
	c.pass(ripe)
	for n, done := int64(1), false; !done; n++ {
		two := c.copied()
		var calls atomic.Int64
		armed := false
		faulty := &storetest.Faulty{Store: two.store}
		faulty.Before = []storetest.Hook{func(storetest.Call) error {
			if armed {
				if calls.Add(1) == n {
					two.prune(maintain.PruneOptions{})
					two.whole()
				}
			}
			return nil
		}}
		r := two.openAt(faulty, false)
		armed = true
		if _, err := maintain.Prune(context.Background(), r, maintain.PruneOptions{}); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		done = calls.Load() < n
		two.whole()
		two.wantObjects("condemned", 0)
		two.wantObjects("content", 1)
		two.wantObjects("metadata", 1)
	}
}

// Nothing is given up beside an archive that cannot be walked.
func TestPruneRefuses(t *testing.T) {
	for name, spoil := range map[string]func(c *clocked, first *repo.Archive){
		"missing content":  func(c *clocked, _ *repo.Archive) { c.put(c.names("content")[0], nil) },
		"missing metadata": func(c *clocked, _ *repo.Archive) { c.put(c.names("metadata")[0], nil) },
		"missing index":    func(c *clocked, _ *repo.Archive) { c.put(c.names("index")[0], nil) },
		"truncated pack":   func(c *clocked, _ *repo.Archive) { n := c.names("content")[0]; c.put(n, c.read(n)[:100]) },
		"damaged archive": func(c *clocked, first *repo.Archive) {
			b := c.read("archive/" + first.ID)
			b[len(b)/2] ^= 1
			c.put("archive/"+first.ID, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocked(t)
			c.files = map[string][]byte{"alpha": random(1000)}
			first := c.night()
			spoil(c, first)
			c.files = map[string][]byte{"beta": random(1000)}
			c.forget(c.night())
			c.pass(ripe)
			before := len(c.names("content"))
			_, err := c.pruneAt(c.store, maintain.PruneOptions{})
			var incomplete *maintain.IncompleteError
			if !errors.As(err, &incomplete) || !errors.Is(err, crypto.ErrIntegrity) {
				t.Errorf("got error %v", err)
			}
			c.wantObjects("condemned", 0)
			c.wantObjects("content", before)
		})
	}
}

// What a run sent that died is kept for a grace period after its last sign of life, with an index and without.
func TestPruneDeadRuns(t *testing.T) {
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(1000)}
	c.night()
	failed := errors.New("died")
	if _, err := c.open(false).Write(context.Background(), new(repo.Sent), func(ctx context.Context, w *repo.Writer) (*repo.Archive, error) {
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		if _, err := saver.Content(random(900_000)); err != nil {
			return nil, err
		}
		if _, err := c.store.Put(ctx, "content/ab/ab"+strings.Repeat("0", 62), []byte("not indexed")); err != nil {
			return nil, err
		}
		return nil, failed
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	c.pass(grace - time.Minute)
	if done := c.prune(maintain.PruneOptions{}); done.PacksCondemned != 0 {
		t.Errorf("while a run may still be at work: %+v", done)
	}
	c.pass(time.Hour)
	if done := c.prune(maintain.PruneOptions{}); done.PacksCondemned != 2 {
		t.Errorf("after the grace: %+v", done)
	}
	c.pass(ripe)
	if done := c.prune(maintain.PruneOptions{}); done.PacksRemoved != 2 {
		t.Errorf("after another: %+v", done)
	}
	c.whole()
	c.pass(ripe)
	c.prune(maintain.PruneOptions{})
	c.pass(ripe)
	c.prune(maintain.PruneOptions{})
	c.wantObjects("index", 1) // of the night
	c.wantObjects("dropped", 0)
	c.whole()
}

// An archive that was stored too late protects nothing, until somebody has verified it.
func TestPruneLateArchives(t *testing.T) {
	for _, verified := range []bool{false, true} {
		c := newClocked(t)
		c.files = map[string][]byte{"alpha": random(1000)}
		a := c.night()
		// As if the store had dated it a day later.
		b := c.read("archive/" + a.ID)
		c.pass(24 * time.Hour)
		c.put("archive/"+a.ID, b)
		if verified {
			id, err := index.ParseObjectID(a.ID)
			if err != nil {
				t.Fatal(err)
			}
			content, err := record.Encode(&record.Verified{Archives: []index.ObjectID{id}})
			if err == nil {
				_, err = c.open(false).PutRecord(context.Background(), record.VerifiedKind, content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c.pass(ripe)
		done := c.prune(maintain.PruneOptions{})
		if verified && done != (maintain.Pruned{Archives: 1}) || !verified && (done.ArchivesLate != 1 || done.PacksCondemned != 2) {
			t.Errorf("verified %v: %+v", verified, done)
		}
	}
}

// Hosts that do not trust each other have a copy each, and lose none on account of the other's.
func TestPruneKeepsTrustedCopies(t *testing.T) {
	c := newClocked(t)
	first := c.key
	other, err := crypto.Generate("other", c.at.Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.change(first, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	c.files = map[string][]byte{"alpha": random(900_000)}
	a := c.night()
	c.site.key = other
	b := c.night()
	c.wantObjects("content", 2)
	if _, err := c.pruneAt(c.store, maintain.PruneOptions{}); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("a host that may not prune: %v", err)
	}
	c.site.key = first
	c.pass(ripe)
	if done := c.prune(maintain.PruneOptions{}); done != (maintain.Pruned{Archives: 2}) {
		t.Errorf("with both archives: %+v", done)
	}
	c.forget(a)
	for range 3 {
		c.pass(ripe)
		c.prune(maintain.PruneOptions{})
	}
	c.wantObjects("content", 1)
	c.whole()
	if got := c.names("archive"); !slices.Equal(got, []string{"archive/" + b.ID}) {
		t.Errorf("left are %q", got)
	}
}

// Index objects that others stand for go, and so do those that name nothing which is there, and with them the list that said so.
func TestPruneSweepsIndexes(t *testing.T) {
	c := newClocked(t)
	c.files = map[string][]byte{"alpha": random(1000)}
	first := c.night()
	c.files = map[string][]byte{"beta": random(1000)}
	c.night()
	r := c.open(true)
	if _, err := maintain.RebuildIndex(t.Context(), r, maintain.RebuildOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	root := c.keys.Root().Fingerprint()
	all := index.Object{Runs: []index.Run{{}}}
	if err := r.IndexObjects(t.Context(), func(x repo.IndexRecord) error {
		if x.Signer == root {
			all.Replaces = append(all.Replaces, x.ID)
			all.Runs[0].Packs = append(all.Runs[0].Packs, x.Object.Runs[0].Packs...)
		}
		return x.Err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddIndex(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	c.wantObjects("index", 5)
	if done := c.prune(maintain.PruneOptions{}); done.IndexesRemoved != 0 {
		t.Errorf("at once: %+v", done)
	}
	c.pass(ripe)
	if done := c.prune(maintain.PruneOptions{}); done.IndexesRemoved != 2 {
		t.Errorf("of those that are replaced: %+v", done)
	}
	c.whole()
	// The packs of the first night go; of the host's two index objects one names nothing else.
	c.forget(first)
	for range 4 {
		c.pass(ripe)
		c.prune(maintain.PruneOptions{})
		c.whole()
	}
	c.wantObjects("content", 1)
	c.wantObjects("index", 2)
	c.wantObjects("dropped", 1) // the root's index object names both nights
}
