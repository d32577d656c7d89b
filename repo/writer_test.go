package repo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/store/storetest"
)

// threeGroups, with perMinute after each, give a run of several packs and index objects.
func threeGroups() [][][]byte { return [][][]byte{some(1, 6), some(2, 6), some(3, 6)} }

func (p *place) perMinute(w *Writer) error {
	err := w.Flush()
	p.clock.move(61 * time.Second)
	return err
}

func TestCommitOrder(t *testing.T) {
	p := newPlace(t)
	var mu sync.Mutex
	var order []string
	p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Op == storetest.Put {
			order = append(order, c.Name)
		}
		return nil
	}}
	r := p.open(hostKey())
	saved, err := write(t.Context(), r, threeGroups(), p.perMinute)
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
		info, err := p.memory.Stat(t.Context(), name)
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
	if indexes < 2 || lastIndex != len(order)-2 || order[len(order)-1] != "archive/"+saved.archive.ID {
		t.Errorf("order: %q", order)
	}
	if got, want := saved.sent.Objects.Load(), uint64(len(order)); got != want {
		t.Errorf("%d objects counted, not %d", got, want)
	}
	if packs := p.indexedPacks(r); len(packs) != len(p.names("content/"))+len(p.names("metadata/")) {
		t.Errorf("%d packs are indexed", len(packs))
	}
	wantRestored(t, p.reader(), saved)
}

func TestEmptyRunWritesOnlyAnArchive(t *testing.T) {
	p := newPlace(t)
	first := mustWrite(t, p.open(hostKey()), threeGroups()...)
	before := p.names("")
	again := mustWrite(t, p.open(hostKey()), threeGroups()...)
	if got := len(p.names("")); got != len(before)+1 || again.sent.Objects.Load() != 1 ||
		again.sent.Bytes.Load() != uint64(len(p.get("archive/"+again.archive.ID))) || again.sent.Metadata.Load() != 0 {
		t.Errorf("%d objects after %d; %d counted", got, len(before), again.sent.Objects.Load())
	}
	if again.sent.ChunksKnown.Load() != 18 || again.sent.ChunksNew.Load() != 0 || again.sent.PlainKnown.Load() != first.sent.PlainNew.Load() {
		t.Errorf("%d chunks known, %d new", again.sent.ChunksKnown.Load(), again.sent.ChunksNew.Load())
	}
	if again.archive.Root != first.archive.Root || again.archive.ID == first.archive.ID {
		t.Error("archives are not what they should be")
	}
}

// Whatever Put fails, and however: nothing is committed, no index lies, and the next run goes on from there.
func TestEveryPutFails(t *testing.T) {
	for name, fail := range map[string]func(f *storetest.Faulty, n int64){
		"once": func(f *storetest.Faulty, n int64) {
			f.Before = []storetest.Hook{storetest.Nth(storetest.Put, n, errFault)}
		},
		"from then on": func(f *storetest.Faulty, n int64) {
			f.Before = []storetest.Hook{storetest.From(storetest.Put, n, errFault)}
		},
		"after the deed": func(f *storetest.Faulty, n int64) {
			f.After = []storetest.Hook{storetest.Nth(storetest.Put, n, errFault)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			done := false
			for n := int64(1); !done; n++ {
				if n > 30 {
					t.Fatal("no end")
				}
				p := newPlace(t)
				r := p.open(hostKey())
				fail(p.faulty, n)
				saved, err := write(t.Context(), r, threeGroups(), p.perMinute)
				p.faulty.Before, p.faulty.After = nil, nil
				if err == nil {
					if done = true; n < 9 {
						t.Errorf("only %d Puts in a run", n-1)
					}
					wantRestored(t, p.reader(), saved)
					continue
				}
				wantError(t, err, errFault, "")
				committed := len(p.names("archive/"))
				if committed > 0 && name != "after the deed" {
					t.Errorf("put %d: an archive was stored", n)
				}
				packs := p.indexedPacks(r)
				reusable := 0
				for pack := range packs {
					if strings.HasPrefix(pack, "content/") {
						reusable++
					}
				}
				next := r // the same process goes on, or another
				if name == "from then on" {
					next = p.open(hostKey())
				}
				again, err := write(t.Context(), next, threeGroups(), nil)
				if err != nil {
					t.Fatalf("run after put %d failed: %v", n, err)
				}
				// Each pack of content holds a group.
				if known := int(again.sent.ChunksKnown.Load()); known != 6*reusable {
					t.Errorf("put %d: %d packs are indexed, but %d chunks known", n, reusable, known)
				}
				wantRestored(t, p.reader(), again)
			}
		})
	}
}

// A failure that passes costs nothing that was stored before: if the index cannot be written at first, it is when the run ends.
func TestIndexFailsOnce(t *testing.T) {
	p := newPlace(t)
	var once sync.Once
	p.faulty.Before = []storetest.Hook{func(c storetest.Call) (err error) {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") {
			once.Do(func() { err = errFault })
		}
		return err
	}}
	r := p.open(hostKey())
	_, err := write(t.Context(), r, threeGroups(), p.perMinute)
	wantError(t, err, errFault, "")
	// Each pack of content holds a group. The second may be on its way when the run fails.
	stored := len(p.names("content/"))
	again := mustWrite(t, p.open(hostKey()), threeGroups()...)
	if known := int(again.sent.ChunksKnown.Load()); stored == 0 || known != 6*stored {
		t.Errorf("%d packs are stored, but %d chunks known", stored, known)
	}
	wantRestored(t, p.reader(), again)
}

func TestDiskFull(t *testing.T) {
	for _, room := range []int64{0, 4_000, 9_000, 12_000} {
		p := newPlace(t)
		r := p.open(hostKey())
		p.faulty.Before = []storetest.Hook{storetest.Full(room)}
		_, err := write(t.Context(), r, threeGroups(), p.perMinute)
		wantError(t, err, syscall.ENOSPC, "store ")
		if n := len(p.names("archive/")); n != 0 {
			t.Errorf("room for %d: %d archives", room, n)
		}
		p.indexedPacks(r)
		p.faulty.Before = nil
		again := mustWrite(t, r, threeGroups()...)
		wantRestored(t, p.reader(), again)
	}
}

func TestCancelledRunIsReused(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	ctx, cancel := context.WithCancel(t.Context())
	groups := 0
	_, err := write(ctx, r, threeGroups(), func(w *Writer) error {
		if err := w.Flush(); err != nil {
			return err
		}
		if groups++; groups == 2 {
			cancel()
		}
		return nil
	})
	wantError(t, err, context.Canceled, "")
	if n := len(p.names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	if n := len(p.names("index/")); n != 1 {
		t.Errorf("%d index objects", n)
	}
	again := mustWrite(t, p.open(hostKey()), threeGroups()...)
	// The third group went on, since f did not look at its context.
	if known := again.sent.ChunksKnown.Load(); known < 12 {
		t.Errorf("only %d chunks are known", known)
	}
	wantRestored(t, p.reader(), again)
}

// What f returns is what Write returns, when nothing else was wrong.
func TestWriteFails(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	_, err := write(t.Context(), r, threeGroups(), func(w *Writer) error { return errFault })
	wantError(t, err, errFault, "")
	if n := len(p.names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	for _, op := range []storetest.Op{storetest.Now, storetest.List} {
		p.faulty.Before = []storetest.Hook{storetest.From(op, 1, errFault)}
		before := everything(t, p.memory)
		_, err = write(t.Context(), r, threeGroups(), nil)
		wantError(t, err, errFault, "")
		wantSame(t, p.memory, before)
	}
	p.faulty.Before = []storetest.Hook{storetest.Nth(storetest.Now, 2, errFault)} // just before the archive
	_, err = write(t.Context(), r, threeGroups(), nil)
	wantError(t, err, errFault, "")
	if n := len(p.names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
}

func TestGraceExceeded(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	groups := 0
	_, err := write(t.Context(), r, threeGroups(), func(w *Writer) error {
		err := p.perMinute(w)
		if groups++; groups == 3 {
			p.clock.move(r.Keys().Grace(noon))
		}
		return err
	})
	wantError(t, err, nil, "grace")
	if n := len(p.names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	// What was stored after the last index object may be gone as well: nothing names it. Whether that is in time for the third group is luck.
	again := mustWrite(t, r, threeGroups()...)
	if known := again.sent.ChunksKnown.Load(); known != 12 && known != 18 {
		t.Errorf("%d chunks known", known)
	}
}

// An archive that the store dates otherwise than it said is a failure, and never the latest.
func TestLateArchive(t *testing.T) {
	for _, skew := range []time.Duration{11 * time.Minute, -11 * time.Minute} {
		p := newPlace(t)
		r := p.open(hostKey())
		first := mustWrite(t, r, some(1, 3))
		p.clock.move(time.Hour)
		p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
				p.clock.move(skew)
			}
			return nil
		}}
		_, err := write(t.Context(), r, [][][]byte{some(2, 3)}, nil)
		wantError(t, err, nil, "does not count")
		p.faulty.Before = nil
		all := archives(t, r)
		if len(all) != 2 {
			t.Fatalf("%d archives", len(all))
		}
		if a, err := Find(all, "latest"); err != nil || a.ID != first.archive.ID {
			t.Errorf("latest is %v, %v", a, err)
		}
	}
}

func TestSkewWithinBounds(t *testing.T) {
	p := newPlace(t)
	p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			p.clock.move(sealed.MaxSkew)
		}
		return nil
	}}
	mustWrite(t, p.open(hostKey()), some(1, 1))
}

func TestManySaversSaveOnce(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	chunks := some(1, 20)
	var sent Sent
	saved := written{content: map[chunk.ID][]byte{}}
	_, err := r.Write(t.Context(), &sent, func(ctx context.Context, w *Writer) (*Archive, error) {
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
		return &Archive{Host: "db1"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sent.ChunksNew.Load() != 20 || sent.ChunksKnown.Load() != 7*20 {
		t.Errorf("%d new, %d known", sent.ChunksNew.Load(), sent.ChunksKnown.Load())
	}
	n := r.Namer()
	for _, data := range chunks {
		saved.content[n.ID(data)] = data
		if at, err := r.local.Lookup(t.Context(), n.ID(data).Key()); err != nil || len(at) != 1 {
			t.Errorf("stored %d times, %v", len(at), err)
		}
	}
	wantRestored(t, p.reader(), saved)
}

func TestSizesAtTheEdges(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	var chunks [][]byte
	for _, n := range []int{0, 1, ownFrame - 1, ownFrame, sharedFrame, sharedFrame + 1, chunk.MaxSize} {
		chunks = append(chunks, bytes.Repeat(fmt.Appendf(nil, "%08d", n), n/8+1)[:n])
	}
	saved := mustWrite(t, r, chunks)
	wantRestored(t, p.reader(), saved)
	only := mustWrite(t, p.open(hostKey()), [][]byte{{}}) // known by now
	wantRestored(t, p.reader(), only)

	_, err := write(t.Context(), r, [][][]byte{{make([]byte, chunk.MaxSize+1)}}, nil)
	wantError(t, err, nil, "too many")
	if n := len(archives(t, r)); n != 2 {
		t.Errorf("%d archives", n)
	}
	fresh := newPlace(t)
	alone := mustWrite(t, fresh.open(hostKey()), [][]byte{{}})
	wantRestored(t, fresh.reader(), alone)
}

func TestWriterHas(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	saved := mustWrite(t, r, some(1, 3))
	_, err := r.Write(t.Context(), new(Sent), func(ctx context.Context, w *Writer) (*Archive, error) {
		for id := range saved.content {
			if ok, err := w.Has(id); !ok || err != nil {
				t.Errorf("has not %v, %v", id, err)
			}
		}
		for id := range saved.trees { // which are no content
			if ok, err := w.Has(id); ok || err != nil {
				t.Errorf("has %v, %v", id, err)
			}
			if _, err := w.Reader().Metadata(ctx, id); err != nil {
				t.Error(err)
			}
		}
		return nil, errFault
	})
	wantError(t, err, errFault, "")
}

// A run that fails while something is on its way ends when that has arrived.
func TestNothingOutlivesRun(t *testing.T) {
	p := newPlace(t)
	arrived := false
	p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		switch {
		case c.Op == storetest.Put && strings.HasPrefix(c.Name, "content/"):
			return errFault
		case c.Op == storetest.Put && strings.HasPrefix(c.Name, "metadata/"):
			time.Sleep(50 * time.Millisecond)
			arrived = true
		}
		return nil
	}}
	_, err := write(t.Context(), p.open(hostKey(), func(o *Options) { o.Connections = 1 }), [][][]byte{some(1, 6)}, nil)
	ended := arrived
	wantError(t, err, errFault, "store content/")
	if time.Sleep(100 * time.Millisecond); ended != arrived {
		t.Error("a pack arrived after the run had ended")
	}
}
