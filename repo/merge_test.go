package repo_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// From how many index objects of which age on a host merges. doc/format.md, section 6.
const (
	mergeFrom = 16
	mergeAge  = 24 * time.Hour
)

// nights runs small backups two hours apart, each of other content.
func nights(p *repotest.Place, r *repo.Repository, first, n int) (all []repotest.Written) {
	p.T.Helper()
	for i := range n {
		p.Clock.Move(2 * time.Hour)
		all = append(all, repotest.MustWrite(p.T, r, repotest.Some(first+i, 2)))
	}
	return all
}

// merged returns the names of the index objects that stand for others.
func merged(p *repotest.Place, r *repo.Repository) (names []string) {
	p.T.Helper()
	for _, name := range p.Names("index/") {
		if o, _ := p.IndexObject(r, name); len(o.Replaces) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// live returns the names of the index objects that the host has written and nothing stands for, as of the last sync.
func live(p *repotest.Place, r *repo.Repository) (names []string) {
	p.T.Helper()
	replaced := r.ReplacedIndexes()
	err := r.IndexObjects(p.T.Context(), func(x sealed.IndexRecord) error {
		if !replaced[x.ID] && x.Signer == r.Host().Fingerprint() {
			names = append(names, x.Name)
		}
		return x.Err
	})
	if err != nil {
		p.T.Fatal(err)
	}
	return names
}

// wantKnown fails unless a run with this cache sends nothing of what was saved.
func wantKnown(p *repotest.Place, r *repo.Repository, all []repotest.Written) {
	p.T.Helper()
	if err := r.SyncIndex(p.T.Context()); err != nil {
		p.T.Fatal(err)
	}
	for _, w := range all {
		for id := range w.Content {
			if at, err := r.View().Lookup(p.T.Context(), id.Key()); err != nil || len(at) == 0 {
				p.T.Fatalf("chunk %v is at %v, %v", id, at, err)
			}
		}
	}
	rd := p.Reader()
	repotest.WantRestored(p.T, rd, all...)
}

func TestMergeIndexes(t *testing.T) {
	p := repotest.NewPlace(t)
	cached := p.Open(repotest.HostKey(), func(o *repo.Options) { o.IndexDir = t.TempDir() })
	r := p.Open(repotest.HostKey())
	all := nights(p, r, 0, 27)
	if got := merged(p, r); len(got) > 0 {
		t.Fatalf("merged too early: %q", got)
	}
	before := p.Names("index/")
	wantKnown(p, cached, all)
	all = append(all, nights(p, r, 27, 1)...)
	names := merged(p, r)
	if len(names) != 1 {
		t.Fatalf("%d merged objects", len(names))
	}
	o, info := p.IndexObject(r, names[0])
	if len(o.Replaces) != mergeFrom || len(o.Runs) != mergeFrom || len(p.Names("index/")) != len(before)+2 {
		t.Errorf("%d objects of %d runs merged into %d", len(o.Replaces), len(o.Runs), len(p.Names("index/")))
	}
	// Each run keeps its store time and all its packs, content before what leans on it.
	for _, run := range o.Runs {
		if now := info.Time; now.Sub(run.Time) < mergeAge {
			t.Errorf("a run of %v was merged at %v", run.Time, now)
		}
		one := slices.IndexFunc(o.Replaces, func(id index.ObjectID) bool {
			single, info := p.IndexObject(r, sealed.Name("index", id))
			return info.Time.Equal(run.Time) && slices.EqualFunc(single.Runs[0].Packs, run.Packs, func(a, b index.Pack) bool { return a.ID == b.ID })
		})
		if one < 0 {
			t.Errorf("no object that was merged has the run of %v", run.Time)
		}
	}
	if got := r.Chunks(); got != chunksOf(p.Open(repotest.HostKey()), t) {
		t.Errorf("%d places of chunks in the writer's own index", got)
	}

	// With, without, and again with what it stands for.
	objects := map[string][]byte{}
	for _, id := range o.Replaces {
		objects[sealed.Name("index", id)] = p.Get(sealed.Name("index", id))
	}
	wantKnown(p, cached, all)
	for name := range objects {
		p.Delete(name)
	}
	wantKnown(p, cached, all)
	wantKnown(p, p.Open(repotest.HostKey()), all)
	for name, object := range objects {
		p.Put(name, object)
	}
	wantKnown(p, cached, all)
	wantKnown(p, p.Open(repotest.HostKey()), all)

	// And when the merged one is lost.
	p.Delete(names[0])
	wantKnown(p, cached, all)
	wantKnown(p, p.Open(repotest.HostKey()), all)
}

// chunksOf counts the places of chunks after a sync.
func chunksOf(r *repo.Repository, t testing.TB) int64 {
	t.Helper()
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Chunks()
}

// Night after night for years: few objects count, each pack is indexed once, and is written again only as often as sizes double.
func TestMergeForYears(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	all := nights(p, r, 0, 100)
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := live(p, r)
	if len(live) > mergeFrom+12+4 {
		t.Errorf("%d index objects count", len(live))
	}
	packs := map[index.ObjectID]int{}
	for _, name := range live {
		o, _ := p.IndexObject(r, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				packs[pack.ID]++
			}
		}
	}
	if len(packs) != len(p.Names("content/"))+len(p.Names("metadata/")) {
		t.Errorf("%d packs are indexed by what counts", len(packs))
	}
	for id, n := range packs {
		if n != 1 {
			t.Errorf("pack %v is indexed %d times", id, n)
		}
	}
	// Prune deletes what others stand for; it is not named for ever.
	counts := map[string]bool{}
	for _, name := range live {
		counts[name] = true
	}
	for _, name := range p.Names("index/") {
		if !counts[name] {
			p.Delete(name)
		}
	}
	all = append(all, nights(p, r, 100, 20)...)
	for _, name := range merged(p, r) {
		o, info := p.IndexObject(r, name)
		for _, id := range o.Replaces {
			if _, err := p.Memory.Stat(t.Context(), sealed.Name("index", id)); err != nil && info.Time.After(repotest.Noon.Add(201*time.Hour)) {
				t.Errorf("%s names what had gone before: %v", name, err)
			}
		}
	}
	wantKnown(p, p.Open(repotest.HostKey()), all)
}

// The backup is done; whatever becomes of merging is a warning, and changes nothing for anybody.
func TestMergeFails(t *testing.T) {
	isIndex := func(c storetest.Call) bool { return c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") }
	second := func() storetest.Hook { // the run's own index object comes first
		n := 0
		return func(c storetest.Call) error {
			if isIndex(c) {
				if n++; n == 2 {
					return repotest.ErrFault
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		spoil  func(p *repotest.Place)
		merged int // objects, at once
		warns  string
	}{
		"before the object is stored": {func(p *repotest.Place) { p.Faulty.Before = []storetest.Hook{second()} }, 0, "merge index objects"},
		"after it is stored":          {func(p *repotest.Place) { p.Faulty.After = []storetest.Hook{second()} }, 1, "merge index objects"},
		"the store is gone": {func(p *repotest.Place) {
			p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
				if strings.HasPrefix(c.Name, "archive/") && c.Op == storetest.Put {
					p.Faulty.Before = []storetest.Hook{func(storetest.Call) error { return fmt.Errorf("%w: cable cut", store.ErrUnavailable) }}
				}
				return nil
			}}
		}, 0, "cable cut"},
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.NewPlace(t)
			var warned []string
			r := p.Open(repotest.HostKey(), func(o *repo.Options) { o.Warn = func(err error) { warned = append(warned, err.Error()) } })
			all := nights(p, r, 0, 27)
			c.spoil(p)
			all = append(all, nights(p, r, 27, 1)...)
			p.Faulty.Before, p.Faulty.After = nil, nil
			if len(warned) != 1 || !strings.Contains(warned[0], c.warns) {
				t.Errorf("warned: %q", warned)
			}
			if len(repotest.Archives(t, r)) != 28 || len(merged(p, r)) != c.merged {
				t.Errorf("%d archives, %d merged objects", len(repotest.Archives(t, r)), len(merged(p, r)))
			}
			wantKnown(p, p.Open(repotest.HostKey()), all)
			all = append(all, nights(p, r, 28, 1)...) // which tries again, unless it was done after all
			if len(merged(p, r)) != 1 {
				t.Errorf("%d merged objects after the next run", len(merged(p, r)))
			}
			wantKnown(p, p.Open(repotest.HostKey()), all)
		})
	}
}

// A run that is ended while it merges has committed.
func TestMergeCancelled(t *testing.T) {
	p := repotest.NewPlace(t)
	var warned []error
	r := p.Open(repotest.HostKey(), func(o *repo.Options) { o.Warn = func(err error) { warned = append(warned, err) } })
	nights(p, r, 0, 28-1)
	ctx, cancel := context.WithCancel(t.Context())
	p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			cancel()
		}
		return nil
	}}
	p.Clock.Move(2 * time.Hour)
	if _, err := repotest.Write(ctx, r, [][][]byte{repotest.Some(50, 2)}, nil); err != nil || len(warned) > 0 {
		t.Errorf("%v, warned %v", err, warned)
	}
	if len(repotest.Archives(t, r)) != 28 || len(merged(p, r)) != 0 {
		t.Error("not what a run that was ended leaves")
	}
}

// What cannot be read, or is another host's, is left as it is.
func TestMergeOnlyWhole(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	var warned []string
	r := p.Open(repotest.HostKey(), func(o *repo.Options) { o.Warn = func(err error) { warned = append(warned, err.Error()) } })
	all := nights(p, p.Open(repotest.SecondKey()), 100, 10)
	others := p.Names("index/")
	all = append(all, nights(p, r, 0, 5)...)
	var mine []string
	for _, name := range p.Names("index/") {
		if !slices.Contains(others, name) {
			mine = append(mine, name)
		}
	}
	all = append(all, nights(p, r, 5, 22)...)
	damaged, gone := mine[0], mine[1]
	p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
		if c.Name == damaged && c.Op == storetest.Get {
			c.Data[len(c.Data)/2] ^= 1
		}
		return nil
	}}
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Name == gone && c.Op != storetest.Put {
			return fmt.Errorf("read %s: %w", gone, store.ErrNotExist)
		}
		return nil
	}}
	all = append(all, nights(p, r, 27, 1)...)
	p.Faulty.Before, p.Faulty.After = nil, nil
	names := merged(p, r)
	if len(names) != 1 {
		t.Fatalf("%d merged objects, warned %q", len(names), warned)
	}
	o, _ := p.IndexObject(r, names[0])
	if len(o.Replaces) != mergeFrom-2 {
		t.Errorf("%d objects are merged", len(o.Replaces))
	}
	for _, id := range o.Replaces {
		if name := sealed.Name("index", id); name == damaged || name == gone || slices.Contains(others, name) {
			t.Errorf("%s is merged", name)
		}
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "not merged") || !strings.Contains(warned[0], damaged) {
		t.Errorf("warned: %q", warned)
	}
	wantKnown(p, p.Open(repotest.HostKey()), all)
}

// Processes of one host, and another host, merge at the same time: there may be duplicates, and they go when they are merged again.
func TestMergeTogether(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	one, two, other := p.Open(repotest.HostKey()), p.Open(repotest.HostKey()), p.Open(repotest.SecondKey())
	all := append(nights(p, other, 200, 16), nights(p, one, 0, 16)...)
	p.Clock.Move(mergeAge)
	for _, r := range []*repo.Repository{one, two, other} {
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// None sees what the others store until all have stored.
	hidden := p.Names("index/")
	p.Faulty.Hide = func(i store.Info) bool {
		return strings.HasPrefix(i.Name, "index/") && !slices.Contains(hidden, i.Name)
	}
	var wait sync.WaitGroup
	for _, r := range []*repo.Repository{one, two, other} {
		wait.Go(func() {
			if info, err := r.View().Merge(context.Background(), p.Clock.Now()); err != nil || info.Size == 0 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
	wait.Wait()
	p.Faulty.Hide = nil
	if n := len(merged(p, one)); n != 3 {
		t.Fatalf("%d merged objects", n)
	}
	wantKnown(p, p.Open(repotest.HostKey()), all)
	replaced := map[string]bool{}
	for _, name := range merged(p, one) {
		o, _ := p.IndexObject(one, name)
		for _, id := range o.Replaces {
			replaced[sealed.Name("index", id)] = true
		}
	}
	for name := range replaced {
		p.Delete(name)
	}
	wantKnown(p, p.Open(repotest.HostKey()), all)
	all = append(all, nights(p, one, 300, 40)...)
	if err := one.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[index.ObjectID]bool{}
	for _, name := range live(p, one) {
		o, _ := p.IndexObject(one, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				if seen[pack.ID] {
					t.Errorf("pack %v is still indexed twice", pack.ID)
				}
				seen[pack.ID] = true
			}
		}
	}
	wantKnown(p, p.Open(repotest.HostKey()), all)
}
