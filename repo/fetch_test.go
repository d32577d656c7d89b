package repo

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
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store/storetest"
)

func TestFetchMixed(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), some(1, 30), [][]byte{noise(1, 600<<10), noise(2, 600<<10), {}})
	mustWrite(t, p.open(hostKey()), some(2, 30))
	ids := slices.Collect(maps.Keys(saved.content))
	ids = append(ids, ids...)
	unknown := chunk.ID{1, 2, 3}
	var half chunk.ID // one of which the index would find the key
	copy(half[:16], ids[0][:16])
	ids = append(ids, unknown, half, unknown)
	rd := p.reader()
	for range 2 { // from the store, and from memory
		data, errs, err := fetchAll(t.Context(), rd, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			switch want, ok := saved.content[id]; {
			case ok:
				if errs[i] != nil || !bytes.Equal(data[i], want) {
					t.Errorf("chunk %d: %d bytes, %v", i, len(data[i]), errs[i])
				}
			case id == unknown:
				wantError(t, errs[i], ErrMissing, id.String())
			default:
				wantError(t, errs[i], crypto.ErrIntegrity, "keyed hash")
			}
			if errs[i] != nil && data[i] != nil {
				t.Errorf("chunk %d: data came with the error", i)
			}
		}
	}
	if _, _, err := fetchAll(t.Context(), rd, nil); err != nil {
		t.Error(err)
	}
}

// nameAt is the name of the pack at a place.
func nameAt(at index.Location) string { return sealed.PackName(at.Pack.Kind, at.Pack.ID) }

// locations of each chunk.
func locations(t *testing.T, rd *Reader, w written) map[chunk.ID][]index.Location {
	t.Helper()
	out := map[chunk.ID][]index.Location{}
	for id := range w.content {
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
	chunks := some(5, 12)
	for i := range 5 {
		chunks = append(chunks, noise(100+i, ownFrame))
	}
	return chunks
}

// wantOnly fails unless exactly the chunks that broken names fail, with an error that names the pack.
func wantOnly(t *testing.T, rd *Reader, saved written, broken func(index.Location) bool) {
	t.Helper()
	at := locations(t, rd, saved)
	ids := slices.Collect(maps.Keys(saved.content))
	data, errs, err := fetchAll(t.Context(), rd, ids)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i, id := range ids {
		if broken(at[id][0]) {
			failed++
			wantError(t, errs[i], nil, nameAt(at[id][0]))
			wantError(t, errs[i], nil, id.String())
			if data[i] != nil {
				t.Error("data was released")
			}
		} else if errs[i] != nil || !bytes.Equal(data[i], saved.content[id]) {
			t.Errorf("chunk %v of a frame that is whole: %v", id, errs[i])
		}
	}
	if failed == 0 || failed == len(ids) {
		t.Errorf("%d of %d failed", failed, len(ids))
	}
}

func TestFetchDamagedFrame(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), big())
	for name, at := range locations(t, p.reader(), saved) {
		bad := at[0]
		p.faulty.After = []storetest.Hook{storetest.Flip(nameAt(bad), int64(crypto.EnvelopeOf(bad.Pack.Session).Data)+bad.FrameOffset+int64(bad.Stored)/2)}
		t.Run(name.String()[:8], func(t *testing.T) {
			wantOnly(t, p.reader(), saved, func(l index.Location) bool { return l.Frame == bad.Frame })
		})
		if bad.Frame > 1 {
			break // one that is alone in its frame, and often one of many
		}
	}
}

// What lies before the cut, or beside the bad sector, still comes back.
func TestFetchTruncatedPack(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), big())
	name := p.names("content/")[0]
	cut := int64(len(p.get(name)) / 2)
	p.faulty.Before = []storetest.Hook{storetest.Cut(name, cut)}
	wantOnly(t, p.reader(), saved, func(l index.Location) bool {
		return int64(crypto.EnvelopeOf(l.Pack.Session).Data)+l.FrameOffset+int64(l.Stored) > cut
	})
	p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Get && c.Name == name && c.Offset <= cut && cut < c.Offset+int64(len(c.Data)) {
			return errFault
		}
		return nil
	}}
	wantOnly(t, p.reader(), saved, func(l index.Location) bool {
		e := crypto.EnvelopeOf(l.Pack.Session)
		start, n := e.Span(l.FrameOffset, int64(l.Stored))
		return start <= cut && cut < start+n
	})
}

func TestFetchOtherLocation(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	// A pack that is gone is a loss, whether one frame of it was asked for or many.
	alone := newPlace(t)
	gone := mustWrite(t, alone.open(hostKey()), []([]byte){noise(1, ownFrame), noise(2, ownFrame)})
	alone.delete(alone.names("content/")[0])
	_, errs, err := fetchAll(t.Context(), alone.reader(), slices.Collect(maps.Keys(gone.content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range errs {
		wantError(t, err, crypto.ErrIntegrity, "content/")
	}
	few := append(some(5, 12), noise(1, ownFrame), noise(2, ownFrame))
	one := mustWrite(t, p.open(hostKey()), few)
	two := mustWrite(t, p.open(secondKey()), few)
	if two.sent.ChunksKnown.Load() != 0 {
		t.Fatalf("%d chunks of a host that is not trusted are known", two.sent.ChunksKnown.Load())
	}
	packs := p.names("content/")
	if len(packs) != 2 {
		t.Fatalf("packs: %q", packs)
	}
	for i, bad := range packs { // whichever is tried first
		whole := p.get(bad)
		for name, spoil := range map[string]func(){
			"flipped":   func() { p.put(bad, flipped(whole, len(whole)/2)) },
			"truncated": func() { p.put(bad, whole[:len(whole)/2]) },
			"missing":   func() { p.delete(bad) },
			"swapped":   func() { p.put(bad, bytes.Repeat([]byte{7}, len(whole))) },
		} {
			if i > 0 && name != "flipped" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				spoil()
				defer p.put(bad, whole)
				wantRestored(t, p.reader(), one)
			})
		}
	}
	for _, bad := range packs {
		p.put(bad, flipped(p.get(bad), 300)) // the first frame
	}
	lost := 0
	rd := p.reader()
	for id := range one.content {
		_, errs, err := fetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		if errs[0] != nil {
			lost++
			wantError(t, errs[0], crypto.ErrIntegrity, packs[0])
			wantError(t, errs[0], crypto.ErrIntegrity, packs[1])
		}
	}
	if lost == 0 {
		t.Error("no damage was seen")
	}
}

func TestMetadataDamaged(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	one := mustWrite(t, p.open(hostKey()), some(1, 3))
	_, err := p.reader().Metadata(t.Context(), chunk.ID{9})
	wantError(t, err, ErrMissing, chunk.ID{9}.String())
	var content chunk.ID
	for content = range one.content {
		break
	}
	_, err = p.reader().Metadata(t.Context(), content) // which is no tree
	wantError(t, err, ErrMissing, "")
	only := p.names("metadata/")[0]
	whole := p.get(only)
	at, err := p.reader().Locations(t.Context(), one.archive.Root.ID, pack.WholeTree)
	if err != nil || len(at) != 1 {
		t.Fatalf("%d locations, %v", len(at), err)
	}
	for _, bad := range [][]byte{flipped(whole, crypto.EnvelopeOf(at[0].Pack.Session).Data+10), whole[:crypto.EnvelopeOf(at[0].Pack.Session).Data+10]} {
		p.put(only, bad)
		got, err := p.reader().Metadata(t.Context(), one.archive.Root.ID)
		wantError(t, err, nil, only)
		if got != nil {
			t.Error("data was released")
		}
	}
	p.put(only, bytes.Repeat([]byte{7}, len(whole)))
	_, err = p.reader().Metadata(t.Context(), one.archive.Root.ID)
	wantError(t, err, crypto.ErrIntegrity, one.archive.Root.ID.String())
	mustWrite(t, p.open(secondKey()), some(1, 3))
	wantRestored(t, p.reader(), written{trees: one.trees})
}

func TestFetchStops(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), big())
	ids := slices.Collect(maps.Keys(saved.content))
	rd := p.reader()
	var calls atomic.Int64
	err := rd.Fetch(t.Context(), append([]chunk.ID{{1}}, ids...), func(i int, data []byte, err error) error { calls.Add(1); return errFault })
	wantError(t, err, errFault, "")
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
	wantError(t, err, context.Canceled, "")
	err = p.reader().Fetch(ctx, ids, func(i int, data []byte, err error) error { t.Errorf("delivered %d, %v", i, err); return nil })
	wantError(t, err, context.Canceled, "")
	_, err = p.reader().Metadata(ctx, saved.archive.Root.ID)
	wantError(t, err, context.Canceled, "")
}

func TestFetchCoalesces(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), big())
	rd := p.reader()
	var mu sync.Mutex
	var gets, read int
	p.faulty.After = []storetest.Hook{func(c storetest.Call) error {
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
	wantRestored(t, rd, written{content: saved.content})
	if gets > need/(9<<20)+1 || read > need+need/20 {
		t.Errorf("%d reads of %d bytes for %d in %d frames", gets, read, need, len(frames))
	}
}

func TestFetchTwoPacksTwoRounds(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	saved, err := write(t.Context(), r, threeGroups(), p.perMinute)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.names("content/")); n != 3 {
		t.Errorf("%d packs", n)
	}
	wantRestored(t, p.reader(func(o *Options) { o.Connections = 1 }), saved)
}
