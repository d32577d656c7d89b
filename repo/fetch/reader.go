// Package fetch reads chunks: it finds their places, plans which ranges of which packs to read, reads and decodes frames, several at the same time, and
// rebuilds what is stored as a recipe.
//
// The invariant: what is delivered has the keyed hash that was asked for. Every place is tried before something cannot be had, and an older version of a
// pack that somebody spoilt.
//
// The package knows of packs, frames, recipes and the index, and nothing of files or archives.
package fetch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/lru"
	"nightjar/repo/ledger"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/view"
)

const (
	rangeMax   = 9 << 20   // bytes of one read: half a pack and the frame that lies across its middle
	rangeGap   = 256 << 10 // bytes read for nothing rather than by another request
	frameCache = 48 << 20  // bytes of decoded frames that are kept: a chunk of a file of many nights is made of up to 64 sources, most of them in frames of 512 KiB
)

// ErrMissing says that no index names the chunk.
var ErrMissing = fmt.Errorf("it is in no index: %w", crypto.ErrIntegrity)

// ErrForeign says that there is a chunk, but only of hosts of whose chunks the archive may not be made.
var ErrForeign = fmt.Errorf("it is of another host, on which this one may not build: %w", crypto.ErrIntegrity)

// ErrLost says that repair has given the chunk up.
var ErrLost = fmt.Errorf("repair gave it up as lost: %w", crypto.ErrIntegrity)

// A Reader delivers chunks by their ids. It is safe for concurrent use.
type Reader struct {
	*shared
	accept func(*lookup.Origin) bool // nil: everybody
}

// shared is what Readers have in common.
type shared struct {
	objects     *sealed.Objects
	local       *view.Local
	connections int

	frames   *lru.Cache[frameID, []byte]
	sessions *lru.Cache[lookup.Layout, crypto.SessionKey]
	namers   [2]sync.Pool  // of content, of metadata
	spare    chan *buffers // for as many requests as there may be at the same time
}

// Options say how a Reader works.
type Options struct {
	Connections int // requests at the same time; needed
	Cache       int // bytes of decoded frames that are kept; 0: 48 MiB
}

// A frameID names a frame as somebody has said that it is to be read: what others say of the same pack may be wrong.
type frameID struct {
	layout lookup.Layout
	frame  int
}

func frameAt(at *lookup.Location) frameID { return frameID{at.Pack.Layout, at.Frame} }

// New returns a Reader of what is indexed now and later.
func New(objects *sealed.Objects, local *view.Local, o Options) *Reader {
	if o.Cache == 0 {
		o.Cache = frameCache
	}
	rd := &shared{
		objects: objects, local: local, connections: o.Connections,
		frames: lru.New[frameID, []byte](o.Cache), sessions: lru.New[lookup.Layout, crypto.SessionKey](4096), spare: make(chan *buffers, o.Connections),
	}
	for range cap(rd.spare) {
		rd.spare <- new(buffers)
	}
	for i, domain := range []chunk.Domain{chunk.Content, chunk.Metadata} {
		rd.namers[i].New = func() any { return chunk.NewNamer(objects.Secret(), domain) }
	}
	return &Reader{shared: rd}
}

// For returns a Reader of what those have said whom accept accepts: nothing that it delivers comes from anywhere else. What has been read is shared.
func (rd *Reader) For(accept func(*lookup.Origin) bool) *Reader { return &Reader{rd.shared, accept} }

// Reads returns what was read of packs since the repository was opened, by all Readers. What this machine's cache held was not.
func (rd *Reader) Reads() ledger.Reads { return rd.objects.Ledger().Reads() }

// locate returns where a chunk lies, in a fixed order; each lies inside its frame. What prune has dropped is left out, and what repair gave up comes last: it may
// have been put back.
func (rd *Reader) locate(ctx context.Context, id chunk.ID, types ...pack.Type) ([]lookup.Location, error) {
	all, err := rd.lookup(ctx, id)
	dropped := rd.local.Lists()
	return slices.DeleteFunc(all, func(at lookup.Location) bool {
		return !slices.Contains(types, at.Type) || dropped.Blob(at.Pack.ID, id.Key(), at.Type)&lists.Dropped != 0
	}), err
}

// lookup is locate with what was dropped, in all forms.
func (rd *Reader) lookup(ctx context.Context, id chunk.ID) ([]lookup.Location, error) {
	all, err := rd.local.Lookup(ctx, id.Key())
	if err != nil {
		return nil, fmt.Errorf("look up %v: %w", id, err)
	}
	all = slices.DeleteFunc(all, func(at lookup.Location) bool {
		return at.Offset+at.Length > at.Plain || rd.accept != nil && !rd.accept(&at.Pack.Origin)
	})
	if len(all) < 2 {
		return all, nil
	}
	named := rd.local.Lists()
	last := func(at *lookup.Location) int { // one that is late may be about what was never here
		n := int(named.Blob(at.Pack.ID, id.Key(), at.Type) & lists.Lost)
		if at.Pack.Late {
			n = 2*n + 1
		}
		return n
	}
	slices.SortFunc(all, func(a, b lookup.Location) int {
		return cmp.Or(cmp.Compare(last(&a), last(&b)), slices.Compare(a.Pack.ID[:], b.Pack.ID[:]), slices.Compare(a.Pack.Layout[:], b.Pack.Layout[:]),
			cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Type, b.Type))
	})
	return slices.CompactFunc(all, func(a, b lookup.Location) bool { // said twice
		return frameAt(&a) == frameAt(&b) && a.Offset == b.Offset && a.Length == b.Length && a.Type == b.Type
	}), nil
}

// Absent returns why something has no place: ErrMissing or ErrForeign, or, while an index object could not be looked at, that one's store.ErrUnread: it may name it.
func (rd *Reader) Absent(ctx context.Context, id chunk.ID) error {
	if err := rd.local.Unread(); err != nil {
		return fmt.Errorf("it is in no index that could be read: %w", err)
	}
	if rd.accept == nil {
		return ErrMissing
	}
	all, err := rd.local.Lookup(ctx, id.Key())
	if err != nil {
		return err
	}
	owners := map[string]bool{}
	for _, at := range all {
		if !rd.accept(&at.Pack.Origin) {
			owners[fmt.Sprintf("%q", at.Pack.Owner)] = true
		}
	}
	if len(owners) == 0 {
		return ErrMissing
	}
	names := slices.Sorted(maps.Keys(owners))
	return fmt.Errorf("%w (%s)", ErrForeign, strings.Join(names[:min(len(names), 3)], ", "))
}

// said names a place, and who says that it is one.
func (rd *Reader) said(at *lookup.Location) string {
	who := "the root"
	if host, err := rd.objects.Keys().Owner(crypto.Fingerprint(at.Pack.Signer)); err == nil {
		who = fmt.Sprintf("host %q", host)
	} else if at.Pack.Signer == "" {
		return packName(*at)
	}
	return packName(*at) + ", by the word of " + who
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
