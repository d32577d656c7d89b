package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/lru"
	"nightjar/repo/blocks"
	"nightjar/repo/index"
	"nightjar/repo/ledger"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

const (
	rangeMax   = 9 << 20   // bytes of one read: half a pack and the frame that lies across its middle
	rangeGap   = 256 << 10 // bytes read for nothing rather than by another request
	frameCache = 48 << 20  // bytes of decoded frames that are kept: a chunk of a file of many nights is made of up to 64 sources, most of them in frames of 512 KiB
)

// ErrMissing says that no index names the chunk.
var ErrMissing = fmt.Errorf("it is in no index: %w", crypto.ErrIntegrity)

// ErrLost says that repair has given the chunk up.
var ErrLost = fmt.Errorf("repair gave it up as lost: %w", crypto.ErrIntegrity)

// A Reader delivers chunks by their ids. It is safe for concurrent use.
type Reader struct {
	r        *Repository
	frames   *lru.Cache[frameID, []byte]
	sessions *lru.Cache[index.ObjectID, crypto.SessionKey]
	namers   [2]sync.Pool  // of content, of metadata
	spare    chan *buffers // for as many requests as there may be at the same time
}

type frameID struct {
	pack  index.ObjectID
	frame int
}

// NewReader returns a Reader that knows all that is indexed now.
func (r *Repository) NewReader(ctx context.Context) (*Reader, error) {
	if err := r.SyncIndex(ctx); err != nil {
		return nil, err
	}
	return r.newReader(), nil
}

// Reader returns a Reader that knows what was indexed when the run began, and what it has added.
func (w *Writer) Reader() *Reader { return w.r.newReader() }

func (r *Repository) newReader() *Reader {
	rd := &Reader{
		r: r, frames: lru.New[frameID, []byte](frameCache), sessions: lru.New[index.ObjectID, crypto.SessionKey](4096), spare: make(chan *buffers, r.options.Connections),
	}
	for range cap(rd.spare) {
		rd.spare <- new(buffers)
	}
	for i, domain := range []chunk.Domain{chunk.Content, chunk.Metadata} {
		rd.namers[i].New = func() any { return chunk.NewNamer(r.Secret(), domain) }
	}
	return rd
}

// Reads say what was read of packs and archives, in bytes.
type Reads = ledger.Reads

// Reads returns what was read since the repository was opened, by all Readers. What this machine's cache held was not.
func (rd *Reader) Reads() Reads { return rd.r.Ledger().Reads() }

// Metadata returns a tree's or a list's bytes, which the caller must not change.
func (rd *Reader) Metadata(ctx context.Context, id chunk.ID) ([]byte, error) {
	locations, err := rd.locate(ctx, id, pack.WholeTree, pack.WholeList, pack.RecipeFor+pack.WholeTree, pack.RecipeFor+pack.WholeList)
	if err != nil {
		return nil, fmt.Errorf("read metadata %v: %w", id, err)
	}
	return rd.metadata(ctx, id, locations)
}

// wholeMetadata is Metadata for what a recipe leans on, which is no recipe. A tree that prune has dropped serves as long as its pack is there:
// only its bytes are wanted.
func (rd *Reader) wholeMetadata(ctx context.Context, id chunk.ID, whole pack.Type) ([]byte, error) {
	all, err := rd.lookup(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read metadata %v: %w", id, err)
	}
	dropped := rd.r.Lists()
	return rd.metadata(ctx, id, slices.DeleteFunc(all, func(at index.Location) bool {
		return at.Type != whole || dropped.Pack(at.Pack.ID)&lists.Dropped != 0
	}))
}

// metadata tries all places; whichever is what it should be serves.
func (rd *Reader) metadata(ctx context.Context, id chunk.ID, locations []index.Location) ([]byte, error) {
	var err error
	if len(locations) == 0 {
		err = ErrMissing
	}
	var problems []error
	for _, at := range locations {
		var data []byte
		if at.Type >= pack.RecipeFor {
			data, err = rd.rebuildMetadata(ctx, at)
		} else if data, err = rd.frame(ctx, at); err == nil {
			data = blobIn(data, at)
		}
		if err == nil {
			if err = rd.check(id, data, at.Type); err == nil {
				return data, nil
			}
		}
		problems = append(problems, fmt.Errorf("in %s: %w", packName(at), err))
		err = nil
	}
	err = errors.Join(append(problems, err)...)
	if rd.r.Lists().Chunk(id) && !errors.Is(err, ErrUnavailable) {
		err = ErrLost
	}
	return nil, fmt.Errorf("read metadata %v: %w", id, err)
}

func packName(at index.Location) string { return sealed.Name(at.Pack.Kind.String(), at.Pack.ID) }

// locate returns where a chunk lies, in a fixed order; each lies inside its frame. What prune has dropped is left out, and what repair gave up comes last: it may
// have been put back.
func (rd *Reader) locate(ctx context.Context, id chunk.ID, types ...pack.Type) ([]index.Location, error) {
	all, err := rd.lookup(ctx, id)
	dropped := rd.r.Lists()
	return slices.DeleteFunc(all, func(at index.Location) bool {
		return !slices.Contains(types, at.Type) || dropped.Blob(at.Pack.ID, id.Key(), at.Type)&lists.Dropped != 0
	}), err
}

// lookup is locate with what was dropped, in all forms.
func (rd *Reader) lookup(ctx context.Context, id chunk.ID) ([]index.Location, error) {
	all, err := rd.r.local.Lookup(ctx, id.Key())
	if err != nil {
		return nil, fmt.Errorf("look up %v: %w", id, err)
	}
	all = slices.DeleteFunc(all, func(at index.Location) bool { return at.Offset+at.Length > at.Plain })
	named := rd.r.Lists()
	lost := func(at index.Location) int { return int(named.Blob(at.Pack.ID, id.Key(), at.Type) & lists.Lost) }
	slices.SortFunc(all, func(a, b index.Location) int {
		return cmp.Or(cmp.Compare(lost(a), lost(b)), slices.Compare(a.Pack.ID[:], b.Pack.ID[:]))
	})
	return all, nil
}

// check reports whether data has the whole id, of which the index knows half.
func (rd *Reader) check(id chunk.ID, data []byte, typ pack.Type) error {
	if rd.name(data, typ) != id {
		return errOtherHash
	}
	return nil
}

// checkHalf is check where only half is known.
func (rd *Reader) checkHalf(key chunk.Key, data []byte, typ pack.Type) error {
	if rd.name(data, typ).Key() != key {
		return errOtherHash
	}
	return nil
}

var errOtherHash = fmt.Errorf("its content does not have that keyed hash: %w", crypto.ErrIntegrity)

// name returns the id of a chunk of that type.
func (rd *Reader) name(data []byte, typ pack.Type) chunk.ID {
	pool := &rd.namers[1]
	if typ == pack.WholeContent || typ == pack.RecipeFor+pack.WholeContent {
		pool = &rd.namers[0]
	}
	n := pool.Get().(*chunk.Namer)
	defer pool.Put(n)
	return n.ID(data)
}

// frame returns a decoded frame of a metadata pack. What is kept of the pack on this machine need not be what it was: then the store is asked, and then for an older version.
func (rd *Reader) frame(ctx context.Context, at index.Location) ([]byte, error) {
	key := frameID{at.Pack.ID, at.Frame}
	if data, ok := rd.frames.Get(key); ok {
		return data, nil
	}
	x := blocks.Object{Sum: at.Pack.ID, Name: packName(at), Size: at.Pack.Size}
	start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
	var data []byte
	for try := 0; ; try++ {
		span, err := rd.r.Blocks().Read(ctx, x, start, length, nil)
		if err = sealed.Missing(err); err == nil {
			if data, err = rd.decode(at, span, nil); err == nil {
				break
			}
		}
		if try > 1 || !errors.Is(err, crypto.ErrIntegrity) || try == 1 && !rd.r.Recovered(ctx, x.Name, err) {
			return nil, err
		}
		rd.r.Blocks().Forget(x, start, length)
	}
	rd.frames.Put(key, data, len(data))
	return data, nil
}

func envelope(at index.Location) crypto.Envelope {
	return crypto.Envelope{Session: at.Pack.Session, Stream: at.Pack.Stream, Data: at.Pack.Data}
}

// decode turns the stored span of a frame, which it overwrites, into its plaintext; buf's memory is used if it suffices.
func (rd *Reader) decode(at index.Location, span, buf []byte) ([]byte, error) {
	if sha256.Sum256(span) != at.Hash {
		return nil, fmt.Errorf("frame %d does not have the hash that its index says: %w", at.Frame, crypto.ErrIntegrity)
	}
	session, ok := rd.sessions.Get(at.Pack.ID)
	if !ok {
		var err error
		if session, err = rd.r.SessionKey(at.Pack); err != nil {
			return nil, err
		}
		rd.sessions.Put(at.Pack.ID, session, 1)
	}
	plain, err := session.OpenRange(envelope(at), at.FrameOffset, at.Stored, span)
	if err != nil {
		return nil, err
	}
	data, err := rd.r.Decompress(buf, plain, at.Plain)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", at.Frame, err)
	}
	return data, nil
}

// Fetch reads chunks of content and delivers each with its place in ids, from several goroutines, in no order. What cannot be had is delivered with an error. data is
// valid until deliver returns. Fetch ends early, with that error, when deliver returns one or ctx ends. deliver must not wait for another Fetch. Memory grows with the number of ids, not with their content.
func (rd *Reader) Fetch(ctx context.Context, ids []chunk.ID, deliver func(i int, data []byte, err error) error) error {
	whole := make([]chunk.ID, 0, len(ids))
	places := make([]int, 0, len(ids))
	var recipes []int
	named, hand := rd.r.Lists(), deliver
	deliver = func(i int, data []byte, err error) error {
		if err != nil && named.Chunk(ids[i]) {
			err = fmt.Errorf("read chunk %v: %w", ids[i], ErrLost)
		}
		return hand(i, data, err)
	}
	for i, id := range ids {
		locations, err := rd.locate(ctx, id, pack.WholeContent, pack.RecipeFor+pack.WholeContent)
		if err != nil {
			return err
		}
		if len(locations) > 0 && !slices.ContainsFunc(locations, func(at index.Location) bool { return at.Type == pack.WholeContent }) {
			recipes = append(recipes, i)
			continue
		}
		whole, places = append(whole, id), append(places, i)
	}
	// What was damaged as a whole may have a recipe elsewhere.
	var mu sync.Mutex
	reasons := map[int]error{}
	failed := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		recipes, reasons[i] = append(recipes, i), errors.Join(reasons[i], err)
	}
	err := rd.newWholeFetch(whole, true, func(n int, data []byte, err error) error {
		if err == nil {
			return deliver(places[n], data, nil)
		}
		failed(places[n], err)
		return nil
	}).all(ctx)
	// Each round tries another recipe of what the rounds before could not make.
	for round := 0; err == nil && len(recipes) > 0; round++ {
		todo := recipes
		recipes = nil
		var ready []*rebuild
		for _, i := range todo {
			locations, err := rd.locate(ctx, ids[i], pack.RecipeFor+pack.WholeContent)
			if err != nil {
				return err
			}
			if round < len(locations) {
				ready = append(ready, &rebuild{i: i, id: ids[i], at: locations[round]})
				continue
			}
			reason := reasons[i]
			if reason == nil {
				reason = fmt.Errorf("read chunk %v: %w", ids[i], ErrMissing)
			}
			if err := deliver(i, nil, reason); err != nil {
				return err
			}
		}
		err = rd.rebuildAll(ctx, ready, func(i int, data []byte, err error) error {
			if err == nil {
				return deliver(i, data, nil)
			}
			failed(i, err)
			return nil
		})
	}
	return err
}
