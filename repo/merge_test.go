package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/keyring"
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
func (p *place) nights(r *Repository, first, n int) (all []written) {
	p.t.Helper()
	for i := range n {
		p.clock.move(2 * time.Hour)
		all = append(all, mustWrite(p.t, r, some(first+i, 2)))
	}
	return all
}

// merged returns the names of the index objects that stand for others.
func (p *place) merged(r *Repository) (names []string) {
	p.t.Helper()
	for _, name := range p.names("index/") {
		if o, _ := p.indexObject(r, name); len(o.Replaces) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// live returns the names of the index objects that the host has written and nothing stands for, as of the last sync.
func (p *place) live(r *Repository) (names []string) {
	p.t.Helper()
	replaced := r.ReplacedIndexes()
	err := r.IndexObjects(p.t.Context(), func(x sealed.IndexRecord) error {
		if !replaced[x.ID] && x.Signer == r.Host().Fingerprint() {
			names = append(names, x.Name)
		}
		return x.Err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return names
}

// wantKnown fails unless a run with this cache sends nothing of what was saved.
func (p *place) wantKnown(r *Repository, all []written) {
	p.t.Helper()
	if err := r.SyncIndex(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for _, w := range all {
		for id := range w.content {
			if at, err := r.local.Lookup(p.t.Context(), id.Key()); err != nil || len(at) == 0 {
				p.t.Fatalf("chunk %v is at %v, %v", id, at, err)
			}
		}
	}
	rd := p.reader()
	wantRestored(p.t, rd, all...)
}

func TestMergeIndexes(t *testing.T) {
	p := newPlace(t)
	cached := p.open(hostKey(), func(o *Options) { o.IndexDir = t.TempDir() })
	r := p.open(hostKey())
	all := p.nights(r, 0, 27)
	if got := p.merged(r); len(got) > 0 {
		t.Fatalf("merged too early: %q", got)
	}
	before := p.names("index/")
	p.wantKnown(cached, all)
	all = append(all, p.nights(r, 27, 1)...)
	names := p.merged(r)
	if len(names) != 1 {
		t.Fatalf("%d merged objects", len(names))
	}
	o, info := p.indexObject(r, names[0])
	if len(o.Replaces) != mergeFrom || len(o.Runs) != mergeFrom || len(p.names("index/")) != len(before)+2 {
		t.Errorf("%d objects of %d runs merged into %d", len(o.Replaces), len(o.Runs), len(p.names("index/")))
	}
	// Each run keeps its store time and all its packs, content before what leans on it.
	for _, run := range o.Runs {
		if now := info.Time; now.Sub(run.Time) < mergeAge {
			t.Errorf("a run of %v was merged at %v", run.Time, now)
		}
		one := slices.IndexFunc(o.Replaces, func(id index.ObjectID) bool {
			single, info := p.indexObject(r, sealed.Name("index", id))
			return info.Time.Equal(run.Time) && slices.EqualFunc(single.Runs[0].Packs, run.Packs, func(a, b index.Pack) bool { return a.ID == b.ID })
		})
		if one < 0 {
			t.Errorf("no object that was merged has the run of %v", run.Time)
		}
	}
	if got := r.Chunks(); got != p.open(hostKey()).chunksOf(t) {
		t.Errorf("%d places of chunks in the writer's own index", got)
	}

	// With, without, and again with what it stands for.
	objects := map[string][]byte{}
	for _, id := range o.Replaces {
		objects[sealed.Name("index", id)] = p.get(sealed.Name("index", id))
	}
	p.wantKnown(cached, all)
	for name := range objects {
		p.delete(name)
	}
	p.wantKnown(cached, all)
	p.wantKnown(p.open(hostKey()), all)
	for name, object := range objects {
		p.put(name, object)
	}
	p.wantKnown(cached, all)
	p.wantKnown(p.open(hostKey()), all)

	// And when the merged one is lost.
	p.delete(names[0])
	p.wantKnown(cached, all)
	p.wantKnown(p.open(hostKey()), all)
}

// chunksOf counts the places of chunks after a sync.
func (r *Repository) chunksOf(t testing.TB) int64 {
	t.Helper()
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Chunks()
}

// Night after night for years: few objects count, each pack is indexed once, and is written again only as often as sizes double.
func TestMergeForYears(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	all := p.nights(r, 0, 100)
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := p.live(r)
	if len(live) > mergeFrom+12+4 {
		t.Errorf("%d index objects count", len(live))
	}
	packs := map[index.ObjectID]int{}
	for _, name := range live {
		o, _ := p.indexObject(r, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				packs[pack.ID]++
			}
		}
	}
	if len(packs) != len(p.names("content/"))+len(p.names("metadata/")) {
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
	for _, name := range p.names("index/") {
		if !counts[name] {
			p.delete(name)
		}
	}
	all = append(all, p.nights(r, 100, 20)...)
	for _, name := range p.merged(r) {
		o, info := p.indexObject(r, name)
		for _, id := range o.Replaces {
			if _, err := p.memory.Stat(t.Context(), sealed.Name("index", id)); err != nil && info.Time.After(noon.Add(201*time.Hour)) {
				t.Errorf("%s names what had gone before: %v", name, err)
			}
		}
	}
	p.wantKnown(p.open(hostKey()), all)
}

// The backup is done; whatever becomes of merging is a warning, and changes nothing for anybody.
func TestMergeFails(t *testing.T) {
	isIndex := func(c storetest.Call) bool { return c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") }
	second := func() storetest.Hook { // the run's own index object comes first
		n := 0
		return func(c storetest.Call) error {
			if isIndex(c) {
				if n++; n == 2 {
					return errFault
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		spoil  func(p *place)
		merged int // objects, at once
		warns  string
	}{
		"before the object is stored": {func(p *place) { p.faulty.Before = []storetest.Hook{second()} }, 0, "merge index objects"},
		"after it is stored":          {func(p *place) { p.faulty.After = []storetest.Hook{second()} }, 1, "merge index objects"},
		"the store is gone": {func(p *place) {
			p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
				if strings.HasPrefix(c.Name, "archive/") && c.Op == storetest.Put {
					p.faulty.Before = []storetest.Hook{func(storetest.Call) error { return fmt.Errorf("%w: cable cut", store.ErrUnavailable) }}
				}
				return nil
			}}
		}, 0, "cable cut"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			var warned []string
			r := p.open(hostKey(), func(o *Options) { o.Warn = func(err error) { warned = append(warned, err.Error()) } })
			all := p.nights(r, 0, 27)
			c.spoil(p)
			all = append(all, p.nights(r, 27, 1)...)
			p.faulty.Before, p.faulty.After = nil, nil
			if len(warned) != 1 || !strings.Contains(warned[0], c.warns) {
				t.Errorf("warned: %q", warned)
			}
			if len(archives(t, r)) != 28 || len(p.merged(r)) != c.merged {
				t.Errorf("%d archives, %d merged objects", len(archives(t, r)), len(p.merged(r)))
			}
			p.wantKnown(p.open(hostKey()), all)
			all = append(all, p.nights(r, 28, 1)...) // which tries again, unless it was done after all
			if len(p.merged(r)) != 1 {
				t.Errorf("%d merged objects after the next run", len(p.merged(r)))
			}
			p.wantKnown(p.open(hostKey()), all)
		})
	}
}

// A run that is ended while it merges has committed.
func TestMergeCancelled(t *testing.T) {
	p := newPlace(t)
	var warned []error
	r := p.open(hostKey(), func(o *Options) { o.Warn = func(err error) { warned = append(warned, err) } })
	p.nights(r, 0, 28-1)
	ctx, cancel := context.WithCancel(t.Context())
	p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			cancel()
		}
		return nil
	}}
	p.clock.move(2 * time.Hour)
	if _, err := write(ctx, r, [][][]byte{some(50, 2)}, nil); err != nil || len(warned) > 0 {
		t.Errorf("%v, warned %v", err, warned)
	}
	if len(archives(t, r)) != 28 || len(p.merged(r)) != 0 {
		t.Error("not what a run that was ended leaves")
	}
}

// What cannot be read, or is another host's, is left as it is.
func TestMergeOnlyWhole(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	var warned []string
	r := p.open(hostKey(), func(o *Options) { o.Warn = func(err error) { warned = append(warned, err.Error()) } })
	all := p.nights(p.open(secondKey()), 100, 10)
	others := p.names("index/")
	all = append(all, p.nights(r, 0, 5)...)
	var mine []string
	for _, name := range p.names("index/") {
		if !slices.Contains(others, name) {
			mine = append(mine, name)
		}
	}
	all = append(all, p.nights(r, 5, 22)...)
	damaged, gone := mine[0], mine[1]
	p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
		if c.Name == damaged && c.Op == storetest.Get {
			c.Data[len(c.Data)/2] ^= 1
		}
		return nil
	}}
	p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Name == gone && c.Op != storetest.Put {
			return fmt.Errorf("read %s: %w", gone, store.ErrNotExist)
		}
		return nil
	}}
	all = append(all, p.nights(r, 27, 1)...)
	p.faulty.Before, p.faulty.After = nil, nil
	names := p.merged(r)
	if len(names) != 1 {
		t.Fatalf("%d merged objects, warned %q", len(names), warned)
	}
	o, _ := p.indexObject(r, names[0])
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
	p.wantKnown(p.open(hostKey()), all)
}

// Processes of one host, and another host, merge at the same time: there may be duplicates, and they go when they are merged again.
func TestMergeTogether(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	one, two, other := p.open(hostKey()), p.open(hostKey()), p.open(secondKey())
	all := append(p.nights(other, 200, 16), p.nights(one, 0, 16)...)
	p.clock.move(mergeAge)
	for _, r := range []*Repository{one, two, other} {
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// None sees what the others store until all have stored.
	hidden := p.names("index/")
	p.faulty.Hide = func(i store.Info) bool {
		return strings.HasPrefix(i.Name, "index/") && !slices.Contains(hidden, i.Name)
	}
	var wait sync.WaitGroup
	for _, r := range []*Repository{one, two, other} {
		wait.Go(func() {
			if info, err := r.local.Merge(context.Background(), p.clock.now()); err != nil || info.Size == 0 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
	wait.Wait()
	p.faulty.Hide = nil
	if n := len(p.merged(one)); n != 3 {
		t.Fatalf("%d merged objects", n)
	}
	p.wantKnown(p.open(hostKey()), all)
	replaced := map[string]bool{}
	for _, name := range p.merged(one) {
		o, _ := p.indexObject(one, name)
		for _, id := range o.Replaces {
			replaced[sealed.Name("index", id)] = true
		}
	}
	for name := range replaced {
		p.delete(name)
	}
	p.wantKnown(p.open(hostKey()), all)
	all = append(all, p.nights(one, 300, 40)...)
	if err := one.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[index.ObjectID]bool{}
	for _, name := range p.live(one) {
		o, _ := p.indexObject(one, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				if seen[pack.ID] {
					t.Errorf("pack %v is still indexed twice", pack.ID)
				}
				seen[pack.ID] = true
			}
		}
	}
	p.wantKnown(p.open(hostKey()), all)
}

// A sync reads what is new, once, and nothing else; a run's own index objects are not read again.
func TestSyncRequests(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	dir := t.TempDir()
	cached := func(o *Options) { o.IndexDir = dir }
	var mu sync.Mutex
	read := map[string]int{}
	lists := 0
	p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Op == storetest.Get && strings.HasPrefix(c.Name, "index/") {
			read[c.Name]++
		}
		if c.Op == storetest.List && c.Name == "index/" {
			lists++
		}
		return nil
	}}
	wantRead := func(r *Repository, want ...string) {
		t.Helper()
		clear(read)
		lists = 0
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if read[name] != 1 {
				t.Errorf("%s was read %d times", name, read[name])
			}
		}
		if len(read) != len(want) || lists != 1 {
			t.Errorf("read %v in %d lists, want %q", read, lists, want)
		}
	}
	r := p.open(hostKey(), cached)
	if _, err := write(t.Context(), r, threeGroups(), p.perMinute); err != nil {
		t.Fatal(err)
	}
	r.Close()
	first := p.names("index/")
	if len(first) < 3 {
		t.Fatalf("%d index objects", len(first))
	}
	r = p.open(hostKey(), cached)
	wantRead(r)
	mustWrite(t, p.open(secondKey()), some(4, 3))
	var added []string
	for _, name := range p.names("index/") {
		if !slices.Contains(first, name) {
			added = append(added, name)
		}
	}
	wantRead(r, added...)
	wantRead(r)
	r.Close()
	wantRead(p.open(hostKey(), cached))
	wantRead(p.open(hostKey()), p.names("index/")...)
}
