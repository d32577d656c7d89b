package repo_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/sealed"
	"nightjar/repo/store/storetest"
)

func TestFetchMixed(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 30), [][]byte{repotest.Noise(1, 600<<10), repotest.Noise(2, 600<<10), {}})
	repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(2, 30))
	ids := slices.Collect(maps.Keys(saved.Content))
	ids = append(ids, ids...)
	unknown := chunk.ID{1, 2, 3}
	var half chunk.ID // one of which the index would find the key
	copy(half[:16], ids[0][:16])
	ids = append(ids, unknown, half, unknown)
	rd := p.Reader()
	for range 2 { // from the store, and from memory
		data, errs, err := repotest.FetchAll(t.Context(), rd, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			switch want, ok := saved.Content[id]; {
			case ok:
				if errs[i] != nil || !bytes.Equal(data[i], want) {
					t.Errorf("chunk %d: %d bytes, %v", i, len(data[i]), errs[i])
				}
			case id == unknown:
				repotest.WantError(t, errs[i], repo.ErrMissing, id.String())
			default:
				repotest.WantError(t, errs[i], crypto.ErrIntegrity, "keyed hash")
			}
			if errs[i] != nil && data[i] != nil {
				t.Errorf("chunk %d: data came with the error", i)
			}
		}
	}
	if _, _, err := repotest.FetchAll(t.Context(), rd, nil); err != nil {
		t.Error(err)
	}
}

// nameAt is the name of the pack at a place.
func nameAt(at lookup.Location) string { return sealed.PackName(at.Pack.Kind, at.Pack.ID) }

// locations of each chunk.
func locations(t *testing.T, rd *repo.Reader, w repotest.Written) map[chunk.ID][]lookup.Location {
	t.Helper()
	out := map[chunk.ID][]lookup.Location{}
	for id := range w.Content {
		at, err := rd.Locations(t.Context(), id, pack.WholeContent)
		if err != nil || len(at) == 0 {
			t.Fatalf("locate %v: %d, %v", id, len(at), err)
		}
		out[id] = at
	}
	return out
}

// big is frames enough for several of them to be asked for at once.
func big() [][]byte {
	chunks := repotest.Some(5, 12)
	for i := range 5 {
		chunks = append(chunks, repotest.Noise(100+i, repotest.OwnFrame))
	}
	return chunks
}

// wantOnly fails unless exactly the chunks that broken names fail, with an error that names the pack.
func wantOnly(t *testing.T, rd *repo.Reader, saved repotest.Written, broken func(lookup.Location) bool) {
	t.Helper()
	at := locations(t, rd, saved)
	ids := slices.Collect(maps.Keys(saved.Content))
	data, errs, err := repotest.FetchAll(t.Context(), rd, ids)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i, id := range ids {
		if broken(at[id][0]) {
			failed++
			repotest.WantError(t, errs[i], nil, nameAt(at[id][0]))
			repotest.WantError(t, errs[i], nil, id.String())
			if data[i] != nil {
				t.Error("data was released")
			}
		} else if errs[i] != nil || !bytes.Equal(data[i], saved.Content[id]) {
			t.Errorf("chunk %v of a frame that is whole: %v", id, errs[i])
		}
	}
	if failed == 0 || failed == len(ids) {
		t.Errorf("%d of %d failed", failed, len(ids))
	}
}

func TestFetchDamagedFrame(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), big())
	for name, at := range locations(t, p.Reader(), saved) {
		bad := at[0]
		p.Faulty.After = []storetest.Hook{storetest.Flip(nameAt(bad), int64(crypto.EnvelopeOf(bad.Pack.Session).Data)+bad.FrameOffset+int64(bad.Stored)/2)}
		t.Run(name.String()[:8], func(t *testing.T) {
			wantOnly(t, p.Reader(), saved, func(l lookup.Location) bool { return l.Frame == bad.Frame })
		})
		if bad.Frame > 1 {
			break // one that is alone in its frame, and often one of many
		}
	}
}

// What lies before the cut, or beside the bad sector, still comes back.
func TestFetchTruncatedPack(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), big())
	name := p.Names("content/")[0]
	cut := int64(len(p.Get(name)) / 2)
	p.Faulty.Before = []storetest.Hook{storetest.Cut(name, cut)}
	wantOnly(t, p.Reader(), saved, func(l lookup.Location) bool {
		return int64(crypto.EnvelopeOf(l.Pack.Session).Data)+l.FrameOffset+int64(l.Stored) > cut
	})
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Get && c.Name == name && c.Offset <= cut && cut < c.Offset+int64(len(c.Data)) {
			return repotest.ErrFault
		}
		return nil
	}}
	wantOnly(t, p.Reader(), saved, func(l lookup.Location) bool {
		e := crypto.EnvelopeOf(l.Pack.Session)
		start, n := e.Span(l.FrameOffset, int64(l.Stored))
		return start <= cut && cut < start+n
	})
}

func TestFetchOtherLocation(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	// A pack that is gone is a loss, whether one frame of it was asked for or many.
	alone := repotest.NewPlace(t)
	gone := repotest.MustWrite(t, alone.Open(repotest.HostKey()), []([]byte){repotest.Noise(1, repotest.OwnFrame), repotest.Noise(2, repotest.OwnFrame)})
	alone.Delete(alone.Names("content/")[0])
	_, errs, err := repotest.FetchAll(t.Context(), alone.Reader(), slices.Collect(maps.Keys(gone.Content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range errs {
		repotest.WantError(t, err, crypto.ErrIntegrity, "content/")
	}
	few := append(repotest.Some(5, 12), repotest.Noise(1, repotest.OwnFrame), repotest.Noise(2, repotest.OwnFrame))
	one := repotest.MustWrite(t, p.Open(repotest.HostKey()), few)
	two := repotest.MustWrite(t, p.Open(repotest.SecondKey()), few)
	if two.Sent.ChunksKnown.Load() != 0 {
		t.Fatalf("%d chunks of a host that is not trusted are known", two.Sent.ChunksKnown.Load())
	}
	packs := p.Names("content/")
	if len(packs) != 2 {
		t.Fatalf("packs: %q", packs)
	}
	for i, bad := range packs { // whichever is tried first
		whole := p.Get(bad)
		for name, spoil := range map[string]func(){
			"flipped":   func() { p.Put(bad, repotest.Flipped(whole, len(whole)/2)) },
			"truncated": func() { p.Put(bad, whole[:len(whole)/2]) },
			"missing":   func() { p.Delete(bad) },
			"swapped":   func() { p.Put(bad, bytes.Repeat([]byte{7}, len(whole))) },
		} {
			if i > 0 && name != "flipped" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				spoil()
				defer p.Put(bad, whole)
				repotest.WantRestored(t, p.Reader(), one)
			})
		}
	}
	for _, bad := range packs {
		p.Put(bad, repotest.Flipped(p.Get(bad), 300)) // the first frame
	}
	lost := 0
	rd := p.Reader()
	for id := range one.Content {
		_, errs, err := repotest.FetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		if errs[0] != nil {
			lost++
			repotest.WantError(t, errs[0], crypto.ErrIntegrity, packs[0])
			repotest.WantError(t, errs[0], crypto.ErrIntegrity, packs[1])
		}
	}
	if lost == 0 {
		t.Error("no damage was seen")
	}
}

func TestMetadataDamaged(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	one := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3))
	_, err := p.Reader().Metadata(t.Context(), chunk.ID{9})
	repotest.WantError(t, err, repo.ErrMissing, chunk.ID{9}.String())
	var content chunk.ID
	for content = range one.Content {
		break
	}
	_, err = p.Reader().Metadata(t.Context(), content) // which is no tree
	repotest.WantError(t, err, repo.ErrMissing, "")
	only := p.Names("metadata/")[0]
	whole := p.Get(only)
	at, err := p.Reader().Locations(t.Context(), one.Archive.Root.ID, pack.WholeTree)
	if err != nil || len(at) != 1 {
		t.Fatalf("%d locations, %v", len(at), err)
	}
	for _, bad := range [][]byte{repotest.Flipped(whole, crypto.EnvelopeOf(at[0].Pack.Session).Data+10), whole[:crypto.EnvelopeOf(at[0].Pack.Session).Data+10]} {
		p.Put(only, bad)
		got, err := p.Reader().Metadata(t.Context(), one.Archive.Root.ID)
		repotest.WantError(t, err, nil, only)
		if got != nil {
			t.Error("data was released")
		}
	}
	p.Put(only, bytes.Repeat([]byte{7}, len(whole)))
	_, err = p.Reader().Metadata(t.Context(), one.Archive.Root.ID)
	repotest.WantError(t, err, crypto.ErrIntegrity, one.Archive.Root.ID.String())
	repotest.MustWrite(t, p.Open(repotest.SecondKey()), repotest.Some(1, 3))
	repotest.WantRestored(t, p.Reader(), repotest.Written{Trees: one.Trees})
}

func TestFetchStops(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), big())
	ids := slices.Collect(maps.Keys(saved.Content))
	rd := p.Reader()
	var calls atomic.Int64
	err := rd.Fetch(t.Context(), append([]chunk.ID{{1}}, ids...), func(i int, data []byte, err error) error { calls.Add(1); return repotest.ErrFault })
	repotest.WantError(t, err, repotest.ErrFault, "")
	if n := calls.Load(); n == 0 || n > 4 {
		t.Errorf("%d calls", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls.Store(0)
	err = rd.Fetch(ctx, ids, func(i int, data []byte, err error) error {
		if err != nil {
			t.Error(err)
		}
		calls.Add(1)
		cancel()
		return nil
	})
	repotest.WantError(t, err, context.Canceled, "")
	err = p.Reader().Fetch(ctx, ids, func(i int, data []byte, err error) error { t.Errorf("delivered %d, %v", i, err); return nil })
	repotest.WantError(t, err, context.Canceled, "")
	_, err = p.Reader().Metadata(ctx, saved.Archive.Root.ID)
	repotest.WantError(t, err, context.Canceled, "")
}

func TestFetchCoalesces(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), big())
	rd := p.Reader()
	var mu sync.Mutex
	var gets, read int
	p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Op == storetest.Get && strings.HasPrefix(c.Name, "content/") {
			gets++
			read += len(c.Data)
		}
		return nil
	}}
	frames := map[int]int{}
	for _, at := range locations(t, rd, saved) {
		frames[at[0].Frame] = at[0].Stored
	}
	need := 0
	for _, n := range frames {
		need += n
	}
	repotest.WantRestored(t, rd, repotest.Written{Content: saved.Content})
	if gets > need/(9<<20)+1 || read > need+need/20 {
		t.Errorf("%d reads of %d bytes for %d in %d frames", gets, read, need, len(frames))
	}
}

func TestFetchTwoPacksTwoRounds(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Names("content/")); n != 3 {
		t.Errorf("%d packs", n)
	}
	repotest.WantRestored(t, p.Reader(func(o *repo.Options) { o.Connections = 1 }), saved)
}
