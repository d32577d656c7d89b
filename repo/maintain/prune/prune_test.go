package prune_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

const (
	grace = 7 * 24 * time.Hour
	ripe  = grace + 11*time.Minute
)

// clocked is a site whose store, and host, have a clock that is moved by hand.
type clocked struct {
	*maintaintest.Site
	at time.Time
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	c := &clocked{at: time.Now().Add(time.Minute)}
	c.Site = maintaintest.NewAt(t, func() time.Time { return c.at })
	return c
}

func (c *clocked) pass(d time.Duration) { c.at = c.at.Add(d) }

// copied returns the same site with a store of its own.
func (c *clocked) copied() *clocked {
	c.T.Helper()
	n := &clocked{at: c.at}
	s := *c.Site
	n.Site = &s
	var put time.Time
	s.Store = store.NewMemory(func() time.Time {
		if put.IsZero() {
			return n.at
		}
		return put
	})
	s.Now = func() time.Time { return n.at }
	s.Files, s.Past, s.Trees = maps.Clone(c.Files), maps.Clone(c.Past), maps.Clone(c.Trees)
	err := c.Store.List(context.Background(), "", func(i store.Info) error {
		put = i.Time
		_, err := s.Store.Put(context.Background(), i.Name, c.Read(i.Name))
		return err
	})
	if err != nil {
		c.T.Fatal(err)
	}
	put = time.Time{}
	return n
}

func (c *clocked) forget(archives ...*repo.Archive) {
	c.T.Helper()
	var f record.Forget
	for _, a := range archives {
		id, err := index.ParseObjectID(a.ID)
		if err != nil {
			c.T.Fatal(err)
		}
		f.Archives = append(f.Archives, record.Forgotten{Archive: id, Host: a.Host, Job: a.Job, Time: a.Time, Reason: "test"})
	}
	content, err := record.Encode(&f)
	if err == nil {
		_, err = c.Open(false).PutRecord(context.Background(), record.ForgetKind, content)
	}
	if err != nil {
		c.T.Fatal(err)
	}
}

func (c *clocked) prune(o prune.Options) prune.Summary {
	c.T.Helper()
	done, err := c.pruneAt(c.Store, o)
	if err != nil {
		c.T.Fatal(err)
	}
	return done
}

func (c *clocked) pruneAt(s store.Store, o prune.Options) (prune.Summary, error) {
	r := c.OpenAt(s, o.Repack)
	o.Problem = func(err error) { c.T.Logf("problem: %v", err) }
	return prune.Run(context.Background(), r, o)
}

func (c *clocked) wantObjects(kind string, n int) {
	c.T.Helper()
	if names := c.Names(kind); len(names) != n {
		c.T.Errorf("%d objects of kind %s, want %d", len(names), kind, n)
	}
}

func TestPrune(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(900_000), "beta": maintaintest.Random(700_000)}
	first := c.Night()
	c.pass(24 * time.Hour)
	c.Files = map[string][]byte{"alpha": c.Files["alpha"], "aside": maintaintest.Random(5000)}
	second := c.Night()
	if done := c.prune(prune.Options{}); done != (prune.Summary{Archives: 2}) {
		t.Errorf("with nothing to do: %+v", done)
	}
	c.forget(first)
	c.pass(grace)
	if done := c.prune(prune.Options{}); done != (prune.Summary{Archives: 2, ArchivesForgotten: 1, Due: done.Due}) || done.Due.IsZero() {
		t.Errorf("before the grace has passed: %+v", done)
	}
	c.pass(time.Minute)
	c.Whole()
	plan := c.prune(prune.Options{DryRun: true})
	c.wantObjects("archive", 2)
	c.wantObjects("condemned", 0)
	done := c.prune(prune.Options{})
	// The first night's content is one pack, half of which is needed; its trees are in another, and not one is.
	if done != plan || done.Archives != 1 || done.ArchivesRemoved != 1 || done.PacksCondemned != 1 || done.PacksRemoved != 0 {
		t.Errorf("condemned %+v, planned %+v", done, plan)
	}
	if want := c.at.Add(grace + sealed.MaxSkew); !done.Due.Equal(want) {
		t.Errorf("due at %v, want %v", done.Due, want)
	}
	c.Whole()
	c.wantObjects("archive", 1)
	c.wantObjects("condemned", 1)
	c.wantObjects("metadata", 2)
	c.pass(grace)
	if again := c.prune(prune.Options{}); again.PacksWaiting != 1 || again.PacksCondemned != 0 || again.PacksRemoved != 0 || !again.Due.Equal(done.Due) {
		t.Errorf("too early: %+v", again)
	}
	c.pass(11 * time.Minute)
	plan = c.prune(prune.Options{DryRun: true})
	c.wantObjects("metadata", 2)
	if done = c.prune(prune.Options{}); done != plan || done.PacksRemoved != 1 || done.BytesRemoved == 0 || done.ListsRemoved != 1 {
		t.Errorf("dropped %+v, planned %+v", done, plan)
	}
	c.wantObjects("metadata", 1)
	c.wantObjects("condemned", 0)
	c.wantObjects("dropped", 1)
	c.wantObjects("forget", 1)
	c.Whole()
	if done = c.prune(prune.Options{}); done != (prune.Summary{Archives: 1}) {
		t.Errorf("afterwards %+v", done)
	}
	// What is gone is sent again.
	c.Files = map[string][]byte{"alpha": c.Files["alpha"], "beta": maintaintest.Random(7000)}
	c.Night()
	c.forget(second)
	for range 5 {
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
	c.wantObjects("archive", 1)
}

// A run that knows nothing of the condemned list uses what it names, and commits in time.
func TestPruneReprieves(t *testing.T) {
	c := newClocked(t)
	old := map[string][]byte{"alpha": maintaintest.Random(900_000), "beta": maintaintest.Random(700_000)}
	c.Files = old
	first := c.Night()
	c.Files = map[string][]byte{"gamma": maintaintest.Random(5000)}
	c.Night()
	c.forget(first)
	c.pass(ripe)
	c.Files = map[string][]byte{"alpha": old["alpha"]}
	if _, err := c.Run(func() {
		if done := c.prune(prune.Options{}); done.PacksCondemned != 2 {
			t.Fatalf("condemned %+v", done)
		}
		c.pass(time.Hour)
	}); err != nil {
		t.Fatal(err)
	}
	c.Whole()
	c.pass(ripe)
	done := c.prune(prune.Options{})
	// Alpha and the tree of its folder are needed; beta's tree and the old root do not come back with them.
	if done.PacksReprieved != 2 || done.PacksRemoved != 0 || done.BlobsRemoved != 3 {
		t.Errorf("dropped %+v", done)
	}
	c.Whole()
	c.wantObjects("condemned", 1) // or else another prune could still drop what a new run uses
	if want := c.at.Add(grace); !done.Due.Equal(want) {
		t.Errorf("due at %v, want %v", done.Due, want)
	}
	c.pass(ripe)
	c.prune(prune.Options{})
	c.wantObjects("condemned", 0)
	c.Whole()
}

// newNights is a site with six archives: a file and a large folder that change a little every night, and one archive of something else.
func newNights(t *testing.T) (*clocked, []*repo.Archive) {
	t.Helper()
	c := newClocked(t)
	c.ForRecipes()
	c.Files["other"] = maintaintest.Random(900_000)
	archives := []*repo.Archive{c.Night()}
	for night := range 4 {
		c.pass(24 * time.Hour)
		copy(c.Files["base"][20_000*(night+1):], "changed in this night")
		c.Files[fmt.Sprintf("few%03d", night)] = []byte("changed")
		c.Files["other"] = maintaintest.Random(900_000)
		archives = append(archives, c.Night())
		if n := c.Sent.Deltas.Load(); n == 0 {
			t.Fatal("nothing was stored as a recipe")
		}
	}
	files := c.Files
	c.Files = map[string][]byte{"zero": maintaintest.Random(10)}
	archives = append(archives, c.Night())
	c.Files = files
	if n := c.blobs(pack.RecipeFor + pack.WholeTree); n == 0 {
		t.Fatal("no tree was stored as a recipe")
	}
	return c, archives
}

// blobs returns how many blobs of a type the index objects name.
func (c *clocked) blobs(typ pack.Type) (n int) {
	c.T.Helper()
	if err := c.Open(false).IndexObjects(context.Background(), func(x sealed.IndexRecord) error {
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
		c.T.Fatal(err)
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
		done := c.prune(prune.Options{})
		removed, blobs = removed+done.PacksRemoved, blobs+done.BlobsRemoved
		c.Whole()
	}
	if removed != 2 || blobs == 0 { // both of the last night, on which nothing leans; of the others a part is needed
		t.Errorf("%d packs and %d recipes and trees are gone", removed, blobs)
	}
	c.wantObjects("archive", 1)
	// The next night leans on nothing that is gone.
	copy(c.Files["base"][100_000:], "changed again")
	c.Files["few003"] = []byte("again")
	c.Night()
	c.Whole()
	c.forget(archives[4])
	for range 3 {
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
}

func TestPruneRepacks(t *testing.T) {
	c, archives := newNights(t)
	if _, err := prune.Run(t.Context(), c.Open(false), prune.Options{Repack: true}); err == nil {
		t.Error("it was repacked without a recovery key")
	}
	c.forget(archives[:4]...)
	c.forget(archives[5])
	c.pass(ripe)
	size := func() (n int64) {
		if err := c.Store.List(t.Context(), "", func(i store.Info) error { n += i.Size; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	o := prune.Options{Repack: true}
	plan := c.prune(prune.Options{Repack: true, DryRun: true})
	// Four content packs of literals and what was condemned beside them; of the metadata those that no tree's recipe leans on.
	first := c.prune(o)
	if first.PacksRepacked < 4 || plan.PacksRepacked != first.PacksRepacked || first.PacksWritten == 0 || first.PacksCondemned != first.PacksRepacked+2 {
		t.Errorf("repacked %+v, planned %+v", first, plan)
	}
	c.Whole()
	if again := c.prune(o); again.PacksRepacked != 0 || again.PacksCondemned != 0 {
		t.Errorf("repacked again %+v", again)
	}
	for range 3 {
		c.pass(ripe)
		c.prune(o)
		c.Whole()
	}
	if after := size(); after > before/3 {
		t.Errorf("%d bytes are left of %d", after, before)
	}
	// A host takes the root's word, and goes on.
	copy(c.Files["base"][100_000:], "changed again")
	c.Night()
	if c.Sent.Deltas.Load() == 0 {
		t.Error("signatures did not outlive repacking")
	}
	c.Whole()
}

// A prune that ends before or after any change of the store has done no harm, and the next one finishes what it began.
func TestPruneCrashes(t *testing.T) {
	scenes := map[string]*clocked{}
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(900), "beta": maintaintest.Random(700)}
	first := c.Night()
	c.Files = map[string][]byte{"gamma": maintaintest.Random(5000)}
	c.Night()
	c.Files["delta"] = maintaintest.Random(10)
	c.Night()
	c.forget(first)
	c.pass(ripe)
	scenes["condemn"] = c.copied()
	c.prune(prune.Options{})
	c.pass(ripe)
	scenes["drop"] = c.copied()
	died := errors.New("died")
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			want := scene.copied()
			want.Site.T = t
			want.prune(prune.Options{})
			for n, done := int64(1), false; !done; n++ {
				for _, after := range []bool{false, true} {
					c := scene.copied()
					c.Site.T = t
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
					faulty := &storetest.Faulty{Store: c.Store}
					if after {
						faulty.After = []storetest.Hook{hook}
					} else {
						faulty.Before = []storetest.Hook{hook}
					}
					r := c.OpenAt(faulty, false)
					armed = true
					_, err := prune.Run(context.Background(), r, prune.Options{})
					if done = err == nil; !done && !errors.Is(err, died) {
						t.Fatalf("call %d: %v", n, err)
					}
					c.Whole()
					c.prune(prune.Options{})
					c.Whole()
					for _, kind := range []string{"content", "metadata", "archive"} {
						if got := c.Names(kind); !slices.Equal(got, want.Names(kind)) {
							t.Fatalf("call %d: %s packs %q, want %q", n, kind, got, want.Names(kind))
						}
					}
					if got := len(c.Names("condemned")); got != len(want.Names("condemned")) {
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
	c.Files = map[string][]byte{"alpha": maintaintest.Random(900), "beta": maintaintest.Random(70_000)}
	first := c.Night()
	c.Files = map[string][]byte{"alpha": c.Files["alpha"]}
	c.Night()
	c.forget(first)
	c.pass(ripe)
	o := prune.Options{Repack: true}
	died := errors.New("died")
	for n, done := int64(1), false; !done; n++ {
		for _, after := range []bool{false, true} {
			again := c.copied()
			faulty := &storetest.Faulty{Store: again.Store}
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
			again.Whole()
			for range 4 {
				again.prune(o)
				again.Whole()
				again.pass(ripe)
			}
			again.wantObjects("content", 1)
			if size := len(again.Read(again.Names("content")[0])); size > 5000 {
				t.Errorf("object %d: the pack that is left has %d bytes", n, size)
			}
		}
	}
}

// Two prunes at the same time come to the same end, wherever one stops for the other.
func TestPruneTwice(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(900), "beta": maintaintest.Random(700)}
	first := c.Night()
	c.Files = map[string][]byte{"gamma": maintaintest.Random(5000)}
	c.Night()
	c.forget(first)
	c.pass(ripe)
	c.prune(prune.Options{})
	c.pass(ripe)
	for n, done := int64(1), false; !done; n++ {
		two := c.copied()
		var calls atomic.Int64
		armed := false
		faulty := &storetest.Faulty{Store: two.Store}
		faulty.Before = []storetest.Hook{func(storetest.Call) error {
			if armed {
				if calls.Add(1) == n {
					two.prune(prune.Options{})
					two.Whole()
				}
			}
			return nil
		}}
		r := two.OpenAt(faulty, false)
		armed = true
		if _, err := prune.Run(context.Background(), r, prune.Options{}); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		done = calls.Load() < n
		two.Whole()
		two.wantObjects("condemned", 0)
		two.wantObjects("content", 1)
		two.wantObjects("metadata", 1)
	}
}

// Nothing is given up beside an archive that cannot be walked.
func TestPruneRefuses(t *testing.T) {
	for name, spoil := range map[string]func(c *clocked, first *repo.Archive){
		"missing content":  func(c *clocked, _ *repo.Archive) { c.Put(c.Names("content")[0], nil) },
		"missing metadata": func(c *clocked, _ *repo.Archive) { c.Put(c.Names("metadata")[0], nil) },
		"missing index":    func(c *clocked, _ *repo.Archive) { c.Put(c.Names("index")[0], nil) },
		"truncated pack":   func(c *clocked, _ *repo.Archive) { n := c.Names("content")[0]; c.Put(n, c.Read(n)[:100]) },
		"damaged archive": func(c *clocked, first *repo.Archive) {
			b := c.Read("archive/" + first.ID)
			b[len(b)/2] ^= 1
			c.Put("archive/"+first.ID, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocked(t)
			c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
			first := c.Night()
			spoil(c, first)
			c.Files = map[string][]byte{"beta": maintaintest.Random(1000)}
			c.forget(c.Night())
			c.pass(ripe)
			before := len(c.Names("content"))
			_, err := c.pruneAt(c.Store, prune.Options{})
			var incomplete *prune.IncompleteError
			if !errors.As(err, &incomplete) || !errors.Is(err, crypto.ErrIntegrity) {
				t.Errorf("got error %v", err)
			}
			c.wantObjects("condemned", 0)
			c.wantObjects("content", before)
		})
	}
}

// All archives that cannot be walked are named, also those that lack the same, and of very many the first.
func TestPruneNamesIncomplete(t *testing.T) {
	c := newClocked(t)
	night := func(name string) string {
		c.Files = map[string][]byte{name: maintaintest.Random(1000)}
		c.pass(time.Minute)
		return c.Night().ID
	}
	unreadable := night("alpha")
	b := c.Read("archive/" + unreadable)
	b[len(b)/2] ^= 1
	c.Put("archive/"+unreadable, b)
	whole := c.Names("content")
	broken := []string{"archive/" + unreadable, night("beta")}
	c.pass(time.Minute)
	broken = append(broken, c.Night().ID)
	spoil := func() {
		for _, name := range c.Names("content") {
			if !slices.Contains(whole, name) {
				c.Put(name, nil)
			}
		}
	}
	spoil()
	night("gamma")
	whole = c.Names("content")
	refused := func() *prune.IncompleteError {
		t.Helper()
		_, err := c.pruneAt(c.Store, prune.Options{})
		var incomplete *prune.IncompleteError
		if !errors.As(err, &incomplete) || !errors.Is(err, crypto.ErrIntegrity) {
			t.Fatalf("got error %v", err)
		}
		return incomplete
	}
	var named []string
	for _, a := range refused().Archives {
		named = append(named, a.Archive)
	}
	if !slices.Equal(named, broken) {
		t.Errorf("named are %q, want %q", named, broken)
	}
	for range 9 {
		night("delta")
	}
	spoil()
	if e := refused(); len(e.Archives) != 10 || e.More != 2 || !strings.Contains(e.Error(), "and 2 archives more") {
		t.Errorf("named are %d and %d more: %v", len(e.Archives), e.More, e)
	}
}

// What a run sent that died is kept for a grace period after its last sign of life, with an index and without.
func TestPruneDeadRuns(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	c.Night()
	failed := errors.New("died")
	if _, err := save.Write(context.Background(), c.Open(false), new(save.Sent), func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		if _, err := saver.Content(maintaintest.Random(900_000)); err != nil {
			return nil, err
		}
		if _, err := c.Store.Put(ctx, "content/ab/ab"+strings.Repeat("0", 62), []byte("not indexed")); err != nil {
			return nil, err
		}
		return nil, failed
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	c.pass(grace - time.Minute)
	if done := c.prune(prune.Options{}); done.PacksCondemned != 0 {
		t.Errorf("while a run may still be at work: %+v", done)
	}
	c.pass(time.Hour)
	if done := c.prune(prune.Options{}); done.PacksCondemned != 2 {
		t.Errorf("after the grace: %+v", done)
	}
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done.PacksRemoved != 2 {
		t.Errorf("after another: %+v", done)
	}
	c.Whole()
	c.pass(ripe)
	c.prune(prune.Options{})
	c.pass(ripe)
	c.prune(prune.Options{})
	c.wantObjects("index", 1) // of the night
	c.wantObjects("dropped", 0)
	c.Whole()
}

// An archive that was stored too late protects nothing, until somebody has verified it.
func TestPruneLateArchives(t *testing.T) {
	for _, verified := range []bool{false, true} {
		c := newClocked(t)
		c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
		a := c.Night()
		// As if the store had dated it a day later.
		b := c.Read("archive/" + a.ID)
		c.pass(24 * time.Hour)
		c.Put("archive/"+a.ID, b)
		if verified {
			id, err := index.ParseObjectID(a.ID)
			if err != nil {
				t.Fatal(err)
			}
			content, err := record.Encode(&record.Verified{Archives: []index.ObjectID{id}})
			if err == nil {
				_, err = c.Open(false).PutRecord(context.Background(), record.VerifiedKind, content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c.pass(ripe)
		done := c.prune(prune.Options{})
		if verified && done != (prune.Summary{Archives: 1}) || !verified && (done.ArchivesLate != 1 || done.PacksCondemned != 2) {
			t.Errorf("verified %v: %+v", verified, done)
		}
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
}

// A repository that was moved without its times gives up nothing, although not one of its archives counts: one that is another's predecessor did.
func TestPruneRedated(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	a := c.Night()
	c.Predecessor = a.ID
	c.Night()
	c.pass(30 * 24 * time.Hour)
	for _, kind := range []string{"content", "metadata", "index", "archive"} {
		for _, name := range c.Names(kind) {
			c.Put(name, c.Read(name))
		}
	}
	for range 3 {
		c.pass(ripe)
		_, err := c.pruneAt(c.Store, prune.Options{})
		var incomplete *prune.IncompleteError
		if !errors.As(err, &incomplete) || incomplete.Archives[0].Archive != a.ID {
			t.Errorf("pruned: %v", err)
		}
	}
	c.wantObjects("content", 1)
	c.wantObjects("condemned", 0)
}

// Where all was moved, the newest archives count for as much as their predecessors, and one that is alone as well: all are older than the repository is there.
func TestPruneMoved(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	a := c.Night()
	c.pass(30 * 24 * time.Hour)
	for _, kind := range []string{"content", "metadata", "index", "archive"} {
		for _, name := range c.Names(kind) {
			c.Put(name, c.Read(name))
		}
	}
	c.Put("config", c.Read("config"))
	c.pass(ripe)
	var incomplete *prune.IncompleteError
	if _, err := c.pruneAt(c.Store, prune.Options{}); !errors.Is(err, prune.ErrRedated) || !errors.As(err, &incomplete) || incomplete.Archives[0].Archive != a.ID {
		t.Fatalf("pruned: %v", err)
	}
	// Once it counts, and its packs are indexed again, the late indexes go, and nothing else. Only the root's word suffices for that.
	id, err := index.ParseObjectID(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Open(true)
	if _, err := r.PutVerified(t.Context(), &record.Verified{Archives: []index.ObjectID{id}}); err != nil {
		t.Fatal(err)
	}
	late := c.Names("index")
	var again index.Object
	if err := r.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		again.Runs = append(again.Runs, index.Run{Owner: "host", Packs: x.Object.Runs[0].Packs})
		return x.Err
	}); err != nil {
		t.Fatal(err)
	}
	byHost := again
	byHost.Time = c.at
	if _, err := r.PutRecord(t.Context(), "index", byHost.Append(nil)); err != nil {
		t.Fatal(err)
	}
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done != (prune.Summary{Archives: 1}) {
		t.Errorf("with an index of the host's: %+v", done)
	}
	if _, err := r.AddIndex(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done != (prune.Summary{Archives: 1, IndexesRemoved: len(late)}) {
		t.Errorf("with one of the root's: %+v", done)
	}
	c.Whole()
}

// A dropped list may have been stored again, by somebody who can add and not delete: void as it is, it stays as long as what it names is indexed.
func TestPruneKeepsVoidLists(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	c.Night()
	d := record.Dropped{View: c.at.Add(-grace)}
	for _, name := range c.Names("metadata") {
		id, err := index.ParseObjectID(path.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		d.Blobs = append(d.Blobs, record.Blobs{Pack: id, Recipes: record.Keys{{1}}})
	}
	content, err := record.Encode(&d)
	if err == nil {
		_, err = c.Open(false).PutRecord(t.Context(), record.DroppedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.prune(prune.Options{})
	c.pass(ripe)
	c.prune(prune.Options{})
	c.wantObjects("dropped", 1)
	c.Whole()
}

// Hosts that do not trust each other have a copy each, and lose none on account of the other's.
func TestPruneKeepsTrustedCopies(t *testing.T) {
	c := newClocked(t)
	first := c.Key
	other, err := crypto.Generate("other", c.at.Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Change(first, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	c.Files = map[string][]byte{"alpha": maintaintest.Random(900_000)}
	a := c.Night()
	c.Site.Key = other
	b := c.Night()
	c.wantObjects("content", 2)
	if _, err := c.pruneAt(c.Store, prune.Options{}); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("a host that may not prune: %v", err)
	}
	c.Site.Key = first
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done != (prune.Summary{Archives: 2}) {
		t.Errorf("with both archives: %+v", done)
	}
	c.forget(a)
	for range 3 {
		c.pass(ripe)
		c.prune(prune.Options{})
	}
	c.wantObjects("content", 1)
	c.Whole()
	if got := c.Names("archive"); !slices.Equal(got, []string{"archive/" + b.ID}) {
		t.Errorf("left are %q", got)
	}
}

// Index objects that others stand for go, and so do those that name nothing which is there, and with them the list that said so.
func TestPruneSweepsIndexes(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	first := c.Night()
	c.Files = map[string][]byte{"beta": maintaintest.Random(1000)}
	c.Night()
	r := c.Open(true)
	var hosts []index.Object
	if err := r.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		hosts = append(hosts, index.Object{Runs: []index.Run{{Owner: "host", Packs: x.Object.Runs[0].Packs}}})
		return x.Err
	}); err != nil {
		t.Fatal(err)
	}
	for i := range hosts {
		if _, err := r.AddIndex(t.Context(), &hosts[i]); err != nil {
			t.Fatal(err)
		}
	}
	root := c.Keys.Root().Fingerprint()
	all := index.Object{Runs: []index.Run{{Owner: "host"}}}
	if err := r.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
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
	if done := c.prune(prune.Options{}); done.IndexesRemoved != 0 {
		t.Errorf("at once: %+v", done)
	}
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done.IndexesRemoved != 2 {
		t.Errorf("of those that are replaced: %+v", done)
	}
	c.Whole()
	// The packs of the first night go; of the host's two index objects one names nothing else.
	c.forget(first)
	for range 4 {
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
	c.wantObjects("content", 1)
	c.wantObjects("index", 2)
	c.wantObjects("dropped", 1) // the root's index object names both nights
}
