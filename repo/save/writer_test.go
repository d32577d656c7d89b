package save_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store/storetest"
)

// threeGroups, with perMinute after each, give a run of several packs and index objects.
func TestCommitOrder(t *testing.T) {
	p := repotest.NewPlace(t)
	var mu sync.Mutex
	var order []string
	p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Op == storetest.Put {
			order = append(order, c.Name)
		}
		return nil
	}}
	r := p.Open(repotest.HostKey())
	saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	var lastIndex int
	indexes := 0
	for i, name := range order {
		if strings.HasPrefix(name, "index/") {
			lastIndex = i
			indexes++
		}
	}
	for i, name := range order {
		there[name] = true
		if !strings.HasPrefix(name, "index/") {
			continue
		}
		info, err := p.Memory.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		content, _, err := r.Record(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		o, err := index.ParseObject(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, pack := range o.Runs[0].Packs {
			pack := sealed.Name(pack.Directory.Kind.String(), pack.ID)
			if !there[pack] {
				t.Errorf("%s names %s, which is stored later", name, pack)
			}
			if strings.HasPrefix(pack, "metadata/") && i != lastIndex {
				t.Errorf("%s names trees before all content is indexed", name)
			}
		}
	}
	if indexes < 2 || lastIndex != len(order)-2 || order[len(order)-1] != "archive/"+saved.Archive.ID {
		t.Errorf("order: %q", order)
	}
	if got, want := saved.Sent.Objects.Load(), uint64(len(order)); got != want {
		t.Errorf("%d objects counted, not %d", got, want)
	}
	if packs := p.IndexedPacks(r); len(packs) != len(p.Names("content/"))+len(p.Names("metadata/")) {
		t.Errorf("%d packs are indexed", len(packs))
	}
	repotest.WantRestored(t, p.Reader(), saved)
}

func TestEmptyRunWritesOnlyAnArchive(t *testing.T) {
	p := repotest.NewPlace(t)
	first := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.ThreeGroups()...)
	before := p.Names("")
	again := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.ThreeGroups()...)
	if got := len(p.Names("")); got != len(before)+1 || again.Sent.Objects.Load() != 1 ||
		again.Sent.Bytes.Load() != uint64(len(p.Get("archive/"+again.Archive.ID))) || again.Sent.Metadata.Load() != 0 {
		t.Errorf("%d objects after %d; %d counted", got, len(before), again.Sent.Objects.Load())
	}
	if again.Sent.ChunksKnown.Load() != 18 || again.Sent.ChunksNew.Load() != 0 || again.Sent.PlainKnown.Load() != first.Sent.PlainNew.Load() {
		t.Errorf("%d chunks known, %d new", again.Sent.ChunksKnown.Load(), again.Sent.ChunksNew.Load())
	}
	if again.Archive.Root != first.Archive.Root || again.Archive.ID == first.Archive.ID {
		t.Error("archives are not what they should be")
	}
}

// Whatever Put fails, and however: nothing is committed, no index lies, and the next run goes on from there.
func TestEveryPutFails(t *testing.T) {
	for name, fail := range map[string]func(f *storetest.Faulty, n int64){
		"once": func(f *storetest.Faulty, n int64) {
			f.Before = []storetest.Hook{storetest.Nth(storetest.Put, n, repotest.ErrFault)}
		},
		"from then on": func(f *storetest.Faulty, n int64) {
			f.Before = []storetest.Hook{storetest.From(storetest.Put, n, repotest.ErrFault)}
		},
		"after the deed": func(f *storetest.Faulty, n int64) {
			f.After = []storetest.Hook{storetest.Nth(storetest.Put, n, repotest.ErrFault)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			done := false
			for n := int64(1); !done; n++ {
				if n > 30 {
					t.Fatal("no end")
				}
				p := repotest.NewPlace(t)
				r := p.Open(repotest.HostKey())
				fail(p.Faulty, n)
				saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute)
				p.Faulty.Before, p.Faulty.After = nil, nil
				if err == nil {
					if done = true; n < 9 {
						t.Errorf("only %d Puts in a run", n-1)
					}
					repotest.WantRestored(t, p.Reader(), saved)
					continue
				}
				repotest.WantError(t, err, repotest.ErrFault, "")
				committed := len(p.Names("archive/"))
				if committed > 0 && name != "after the deed" {
					t.Errorf("put %d: an archive was stored", n)
				}
				packs := p.IndexedPacks(r)
				reusable := 0
				for pack := range packs {
					if strings.HasPrefix(pack, "content/") {
						reusable++
					}
				}
				next := r // the same process goes on, or another
				if name == "from then on" {
					next = p.Open(repotest.HostKey())
				}
				again, err := repotest.Write(t.Context(), next, repotest.ThreeGroups(), nil)
				if err != nil {
					t.Fatalf("run after put %d failed: %v", n, err)
				}
				// Each pack of content holds a group.
				if known := int(again.Sent.ChunksKnown.Load()); known != 6*reusable {
					t.Errorf("put %d: %d packs are indexed, but %d chunks known", n, reusable, known)
				}
				repotest.WantRestored(t, p.Reader(), again)
			}
		})
	}
}

// A failure that passes costs nothing that was stored before: if the index cannot be written at first, it is when the run ends.
func TestIndexFailsOnce(t *testing.T) {
	p := repotest.NewPlace(t)
	var once sync.Once
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) (err error) {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") {
			once.Do(func() { err = repotest.ErrFault })
		}
		return err
	}}
	r := p.Open(repotest.HostKey())
	_, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute)
	repotest.WantError(t, err, repotest.ErrFault, "")
	// Each pack of content holds a group. The second may be on its way when the run fails.
	stored := len(p.Names("content/"))
	again := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.ThreeGroups()...)
	if known := int(again.Sent.ChunksKnown.Load()); stored == 0 || known != 6*stored {
		t.Errorf("%d packs are stored, but %d chunks known", stored, known)
	}
	repotest.WantRestored(t, p.Reader(), again)
}

func TestDiskFull(t *testing.T) {
	for _, room := range []int64{0, 4_000, 9_000, 12_000} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		p.Faulty.Before = []storetest.Hook{storetest.Full(room)}
		_, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute)
		repotest.WantError(t, err, syscall.ENOSPC, "store ")
		if n := len(p.Names("archive/")); n != 0 {
			t.Errorf("room for %d: %d archives", room, n)
		}
		p.IndexedPacks(r)
		p.Faulty.Before = nil
		again := repotest.MustWrite(t, r, repotest.ThreeGroups()...)
		repotest.WantRestored(t, p.Reader(), again)
	}
}

func TestCancelledRunIsReused(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	ctx, cancel := context.WithCancel(t.Context())
	groups := 0
	_, err := repotest.Write(ctx, r, repotest.ThreeGroups(), func(w *save.Writer) error {
		if err := w.Flush(); err != nil {
			return err
		}
		if groups++; groups == 2 {
			cancel()
		}
		return nil
	})
	repotest.WantError(t, err, context.Canceled, "")
	if n := len(p.Names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	if n := len(p.Names("index/")); n != 1 {
		t.Errorf("%d index objects", n)
	}
	again := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.ThreeGroups()...)
	// The third group went on, since f did not look at its context.
	if known := again.Sent.ChunksKnown.Load(); known < 12 {
		t.Errorf("only %d chunks are known", known)
	}
	repotest.WantRestored(t, p.Reader(), again)
}

// What f returns is what Write returns, when nothing else was wrong.
func TestWriteFails(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	_, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), func(w *save.Writer) error { return repotest.ErrFault })
	repotest.WantError(t, err, repotest.ErrFault, "")
	if n := len(p.Names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	for _, op := range []storetest.Op{storetest.Now, storetest.List} {
		p.Faulty.Before = []storetest.Hook{storetest.From(op, 1, repotest.ErrFault)}
		before := repotest.Everything(t, p.Memory)
		_, err = repotest.Write(t.Context(), r, repotest.ThreeGroups(), nil)
		repotest.WantError(t, err, repotest.ErrFault, "")
		repotest.WantSame(t, p.Memory, before)
	}
	p.Faulty.Before = []storetest.Hook{storetest.Nth(storetest.Now, 2, repotest.ErrFault)} // just before the archive
	_, err = repotest.Write(t.Context(), r, repotest.ThreeGroups(), nil)
	repotest.WantError(t, err, repotest.ErrFault, "")
	if n := len(p.Names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
}

func TestManySaversSaveOnce(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	chunks := repotest.Some(1, 20)
	var sent save.Sent
	saved := repotest.Written{Content: map[chunk.ID][]byte{}}
	_, err := save.Write(t.Context(), r, &sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		errs := make(chan error)
		const workers = 8
		for range workers {
			go func() {
				s, err := w.NewSaver()
				for _, data := range chunks {
					if err == nil {
						_, err = s.Content(data)
					}
				}
				errs <- err
			}()
		}
		for range workers {
			if err := <-errs; err != nil {
				return nil, err
			}
		}
		return &repo.Record{Host: "db1"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sent.ChunksNew.Load() != 20 || sent.ChunksKnown.Load() != 7*20 {
		t.Errorf("%d new, %d known", sent.ChunksNew.Load(), sent.ChunksKnown.Load())
	}
	n := r.Namer()
	for _, data := range chunks {
		saved.Content[n.ID(data)] = data
		if at, err := r.View().Lookup(t.Context(), n.ID(data).Key()); err != nil || len(at) != 1 {
			t.Errorf("stored %d times, %v", len(at), err)
		}
	}
	repotest.WantRestored(t, p.Reader(), saved)
}

func TestSizesAtTheEdges(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	var chunks [][]byte
	for _, n := range []int{0, 1, repotest.OwnFrame - 1, repotest.OwnFrame, repotest.SharedFrame, repotest.SharedFrame + 1, chunk.MaxSize} {
		chunks = append(chunks, bytes.Repeat(fmt.Appendf(nil, "%08d", n), n/8+1)[:n])
	}
	saved := repotest.MustWrite(t, r, chunks)
	repotest.WantRestored(t, p.Reader(), saved)
	only := repotest.MustWrite(t, p.Open(repotest.HostKey()), [][]byte{{}}) // known by now
	repotest.WantRestored(t, p.Reader(), only)

	_, err := repotest.Write(t.Context(), r, [][][]byte{{make([]byte, chunk.MaxSize+1)}}, nil)
	repotest.WantError(t, err, nil, "too many")
	if n := len(repotest.Archives(t, r)); n != 2 {
		t.Errorf("%d archives", n)
	}
	fresh := repotest.NewPlace(t)
	alone := repotest.MustWrite(t, fresh.Open(repotest.HostKey()), [][]byte{{}})
	repotest.WantRestored(t, fresh.Reader(), alone)
}

func TestWriterHas(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 3))
	_, err := save.Write(t.Context(), r, new(save.Sent), func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		for id := range saved.Content {
			if ok, err := w.Has(id); !ok || err != nil {
				t.Errorf("has not %v, %v", id, err)
			}
		}
		for id := range saved.Trees { // which are no content
			if ok, err := w.Has(id); ok || err != nil {
				t.Errorf("has %v, %v", id, err)
			}
			if _, err := w.Reader().Metadata(ctx, id); err != nil {
				t.Error(err)
			}
		}
		return nil, repotest.ErrFault
	})
	repotest.WantError(t, err, repotest.ErrFault, "")
}

// A run that fails while something is on its way ends when that has arrived.
func TestNothingOutlivesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if anything outlives it
		p := repotest.NewPlace(t)
		arrived := false
		p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			switch {
			case c.Op == storetest.Put && strings.HasPrefix(c.Name, "content/"):
				return repotest.ErrFault
			case c.Op == storetest.Put && strings.HasPrefix(c.Name, "metadata/"):
				time.Sleep(time.Hour)
				arrived = true
			}
			return nil
		}}
		_, err := repotest.Write(t.Context(), p.Open(repotest.HostKey(), func(o *repo.Options) { o.Connections = 1 }), [][][]byte{repotest.Some(1, 6)}, nil)
		repotest.WantError(t, err, repotest.ErrFault, "store content/")
		if !arrived {
			t.Error("the run had ended before a pack arrived")
		}
	})
}
