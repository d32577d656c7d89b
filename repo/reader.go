package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/lru"
	"nightjar/repo/blocks"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

const (
	rangeMax   = 9 << 20   // bytes of one read: half a pack and the frame that lies across its middle
	rangeGap   = 256 << 10 // bytes read for nothing rather than by another request
	frameCache = 64 << 20  // bytes of decoded frames that are kept: a file of sixty nights needs one of each night around every place
)

// ErrMissing says that no index names the chunk.
var ErrMissing = fmt.Errorf("it is in no index: %w", crypto.ErrIntegrity)

// A Reader delivers chunks by their ids. It is safe for concurrent use.
type Reader struct {
	r        *Repository
	frames   *lru.Cache[frameID, []byte]
	sessions *lru.Cache[index.ObjectID, crypto.SessionKey]
	namers   [2]sync.Pool // of content, of metadata
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
	rd := &Reader{r: r, frames: lru.New[frameID, []byte](frameCache), sessions: lru.New[index.ObjectID, crypto.SessionKey](4096)}
	for i, domain := range []chunk.Domain{chunk.Content, chunk.Metadata} {
		rd.namers[i].New = func() any { return chunk.NewNamer(r.config.secret, domain) }
	}
	return rd
}

// Metadata returns a tree's or a list's bytes, which the caller must not change.
func (rd *Reader) Metadata(ctx context.Context, id chunk.ID) ([]byte, error) {
	return rd.metadata(ctx, id, pack.WholeTree, pack.WholeList, pack.RecipeFor+pack.WholeTree, pack.RecipeFor+pack.WholeList)
}

// wholeMetadata is Metadata for what a recipe leans on, which is no recipe.
func (rd *Reader) wholeMetadata(ctx context.Context, id chunk.ID, whole pack.Type) ([]byte, error) {
	return rd.metadata(ctx, id, whole)
}

// metadata tries all places; whichever is what it should be serves.
func (rd *Reader) metadata(ctx context.Context, id chunk.ID, types ...pack.Type) ([]byte, error) {
	locations, err := rd.locate(ctx, id, types...)
	if err == nil && len(locations) == 0 {
		err = ErrMissing
	}
	var problems []error
	if err != nil && rd.r.Lost().Chunk(id) {
		err = ErrLost
	}
	for _, at := range locations {
		var data []byte
		if at.Type >= pack.RecipeFor {
			data, err = rd.rebuildMetadata(ctx, id, at)
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
	if err == nil && rd.r.Lost().Chunk(id) && !errors.Is(errors.Join(problems...), ErrUnavailable) {
		problems = []error{ErrLost}
	}
	return nil, fmt.Errorf("read metadata %v: %w", id, errors.Join(append(problems, err)...))
}

func packName(at index.Location) string { return nameOf(at.Pack.Kind.String(), at.Pack.ID) }

// locate returns where a chunk lies, in a fixed order, places that repair gave up last: they may have been put back since. Each lies inside its frame.
func (rd *Reader) locate(ctx context.Context, id chunk.ID, types ...pack.Type) ([]index.Location, error) {
	all, err := rd.r.index.Lookup(id.Key(), nil)
	if errors.Is(err, index.ErrBroken) { // only a cache: what it held is fetched again
		rd.r.options.Warn(err)
		if err = rd.r.SyncIndex(ctx); err == nil {
			all, err = rd.r.index.Lookup(id.Key(), nil)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up %v: %w", id, err)
	}
	out := all[:0]
	for _, at := range all {
		if slices.Contains(types, at.Type) && at.Offset+at.Length <= at.Plain {
			out = append(out, at)
		}
	}
	lost := rd.r.Lost()
	sort.Slice(out, func(a, b int) bool {
		x, y := out[a], out[b]
		if gone := lost.Blob(x.Pack.ID, id.Key(), x.Type); gone != lost.Blob(y.Pack.ID, id.Key(), y.Type) {
			return !gone
		}
		return string(x.Pack.ID[:]) < string(y.Pack.ID[:])
	})
	return out, nil
}

// check reports whether data has the whole id, of which the index knows half.
func (rd *Reader) check(id chunk.ID, data []byte, typ pack.Type) error {
	pool := &rd.namers[1]
	if typ == pack.WholeContent || typ == pack.RecipeFor+pack.WholeContent {
		pool = &rd.namers[0]
	}
	n := pool.Get().(*chunk.Namer)
	defer pool.Put(n)
	if n.ID(data) != id {
		return fmt.Errorf("its content does not have that keyed hash: %w", crypto.ErrIntegrity)
	}
	return nil
}

// frame returns a decoded frame of a metadata pack. What is kept of the pack on this machine need not be what it was: then the store is asked.
func (rd *Reader) frame(ctx context.Context, at index.Location) ([]byte, error) {
	key := frameID{at.Pack.ID, at.Frame}
	if data, ok := rd.frames.Get(key); ok {
		return data, nil
	}
	x := blocks.Object{Sum: at.Pack.ID, Name: packName(at), Size: at.Pack.Size}
	start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
	var data []byte
	for again := true; ; again = false {
		span, err := rd.r.blocks.Read(ctx, x, start, length, nil)
		if err != nil {
			return nil, missing(err)
		}
		data, err = rd.decode(at, span, nil)
		if err == nil {
			break
		}
		if !again || !errors.Is(err, crypto.ErrIntegrity) {
			return nil, err
		}
		rd.r.blocks.Forget(x, start, length)
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
		opener := rd.r.metadata
		if at.Pack.Kind == pack.Content {
			rd.r.content.RLock()
			opener = rd.r.content.opener
			rd.r.content.RUnlock()
		}
		if opener == nil {
			return nil, fmt.Errorf("content is sealed to the recovery keys: %w", crypto.ErrNoKey)
		}
		var err error
		if session, err = opener.SessionKey(at.Pack.Session); err != nil {
			return nil, err
		}
		rd.sessions.Put(at.Pack.ID, session, 1)
	}
	plain, err := session.OpenRange(envelope(at), at.FrameOffset, at.Stored, span)
	if err != nil {
		return nil, err
	}
	d, err := rd.r.decompressor()
	if err != nil {
		return nil, err
	}
	defer rd.r.decompressors.Put(d)
	data, err := d.Frame(buf, plain, at.Plain)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w: %w", at.Frame, err, crypto.ErrIntegrity)
	}
	return data, nil
}

// Fetch reads chunks of content and delivers each with its place in ids, from several goroutines, in no order. What cannot be had is delivered with an error. data is
// valid until deliver returns. Fetch ends early, with that error, when deliver returns one or ctx ends. Memory grows with the number of ids, not with their content.
func (rd *Reader) Fetch(ctx context.Context, ids []chunk.ID, deliver func(i int, data []byte, err error) error) error {
	whole := make([]chunk.ID, 0, len(ids))
	places := make([]int, 0, len(ids))
	var recipes []int
	lost, hand := rd.r.Lost(), deliver
	deliver = func(i int, data []byte, err error) error {
		if err != nil && lost.Chunk(ids[i]) {
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
	err := rd.fetchWhole(ctx, whole, true, func(n int, data []byte, err error) error {
		if err == nil {
			return deliver(places[n], data, nil)
		}
		failed(places[n], err)
		return nil
	})
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
			if round >= len(locations) {
				reason := reasons[i]
				if reason == nil {
					reason = fmt.Errorf("read chunk %v: %w", ids[i], ErrMissing)
				}
				if err := deliver(i, nil, reason); err != nil {
					return err
				}
				continue
			}
			r, err := rd.readRecipe(ctx, locations[round])
			switch {
			case errors.Is(err, ErrUnavailable):
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				failed(i, fmt.Errorf("read recipe of chunk %v: %w", ids[i], err))
			default:
				ready = append(ready, &rebuild{i: i, id: ids[i], recipe: r})
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

// fetchWhole is Fetch for chunks that are stored as themselves. Unchecked, they are what a signed index says of their frames.
func (rd *Reader) fetchWhole(ctx context.Context, ids []chunk.ID, checked bool, deliver func(i int, data []byte, err error) error) error {
	wanted := make([]int, len(ids))
	for i := range wanted {
		wanted[i] = i
	}
	// Each round tries one location more of what the rounds before could not read.
	var reasons map[int]error
	for round := 0; len(wanted) > 0; round++ {
		reads, missing, err := rd.plan(ctx, ids, wanted, round)
		if err != nil {
			return err
		}
		for _, i := range missing {
			reason := reasons[i]
			if reason == nil {
				reason = ErrMissing
			}
			if err := deliver(i, nil, fmt.Errorf("read chunk %v: %w", ids[i], reason)); err != nil {
				return err
			}
		}
		var mu sync.Mutex
		failed := map[int]error{}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(rd.r.options.Connections)
		for _, read := range reads {
			if gctx.Err() != nil {
				break
			}
			g.Go(func() error {
				return rd.read(gctx, read, ids, checked, deliver, func(i int, err error) {
					mu.Lock()
					defer mu.Unlock()
					failed[i] = errors.Join(reasons[i], err)
				})
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		wanted = wanted[:0]
		for i := range failed {
			wanted = append(wanted, i)
		}
		reasons = failed
	}
	return nil
}
