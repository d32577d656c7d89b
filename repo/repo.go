// Package repo is a repository: what is stored in it and what that means.
//
// A Repository is opened with a Keyring, which says whom to believe, and a key, which opens the metadata. It lists and
// selects archives; a Reader takes ids and delivers chunks, out of order and checked. Package save writes. Neither callers
// nor callees see the other side: above, nobody knows of frames and packs; below, nobody knows of files.
//
// It stands on three others: sealed knows objects one by one, view what a run goes by, and fetch gets chunks out of packs.
//
// Invariants: nothing is released before it is authenticated; an archive is written after all that it needs.
// doc/format.md is the format.
package repo

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"nightjar/internal/tempdir"
	"nightjar/internal/versioned"
	"nightjar/repo/blocks"
	"nightjar/repo/create"
	"nightjar/repo/fetch"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/ledger"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/view"
)

// FormatVersion is the version that this package writes and reads.
const FormatVersion = versioned.Version

// Errors that callers branch on.
var (
	ErrNoRepository = keyring.ErrNoRepository
	ErrExists       = create.ErrExists
	ErrVersion      = versioned.ErrNewer
	ErrNoArchive    = errors.New("no such archive")
	ErrMissing      = fetch.ErrMissing     // no index names the chunk
	ErrForeign      = fetch.ErrForeign     // it is only in packs of hosts on which the archive's may not build
	ErrLost         = fetch.ErrLost        // repair has given the chunk up
	ErrUnreadList   = view.ErrUnreadList   // nobody knows what prune is about to take
	ErrDisowned     = sealed.ErrDisowned   // the key that signed it is marked compromised, and nobody vouches for it
	ErrUnavailable  = store.ErrUnavailable // not a chunk is missing: the store is
	ErrUnread       = store.ErrUnread      // nobody knows whether it is missing
)

// Options say how a Repository works.
type Options struct {
	IndexDir    string           // folder of the local index; a cache
	BlockDir    string           // folder of metadata that was read or written; a cache. "": none, which is best for a store on this machine
	BlockLimit  int64            // bytes in BlockDir
	RecordDir   string           // folder of what archives and records of maintenance say; a cache. "": none
	Reread      bool             // the store is on this machine: records are read all the same, so that damage shows
	Connections int              // objects sent or read at the same time; 0: 4
	Compression pack.Level       // of content that is written
	Now         func() time.Time // nil: time.Now
	Random      io.Reader        // nil: crypto/rand
	Warn        func(error)      // told what is wrong but stops nothing; nil: nobody
	Temp        tempdir.Dir      // for what does not fit in memory
}

func (o *Options) fill() {
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
}

func (o *Options) sealed() sealed.Options {
	return sealed.Options{
		Blocks:   blocks.Options{Dir: o.BlockDir, Limit: o.BlockLimit, Warn: o.Warn, Now: o.Now},
		Register: o.RecordDir, Reread: o.Reread,
		Now: o.Now, Random: o.Random, Warn: o.Warn,
	}
}

// A Repository is an open repository: its objects, and what is indexed of them. It is safe for concurrent use.
type Repository struct {
	*sealed.Objects
	local   *view.Local // what is indexed, and not dropped
	options Options
}

// InitOptions say whose repository it becomes.
type InitOptions = create.Options

// Init makes a repository in an empty store and returns its keyring. The first host gets both roles. Where there is a repository, or a part of one, the error is
// ErrExists and nothing is changed, but for what an Init left that died.
func Init(ctx context.Context, s store.Store, o InitOptions) (*keyring.Keyring, error) {
	return create.Repository(ctx, s, o)
}

// Open opens the repository that keys were read from, for its metadata. opener holds the host key or a recovery key.
func Open(ctx context.Context, s store.Store, keys *keyring.Keyring, opener keyring.Decrypter, o Options) (*Repository, error) {
	o.fill()
	objects, err := sealed.Open(ctx, s, keys, opener, o.sealed())
	if err != nil {
		return nil, err
	}
	return over(objects, o, false), nil
}

// OpenContent opens the repository for everything, content included. recovery holds a recovery key, and is asked once: it may be a smartcard.
func OpenContent(ctx context.Context, s store.Store, keys *keyring.Keyring, recovery keyring.Decrypter, o Options) (*Repository, error) {
	o.fill()
	objects, err := sealed.OpenContent(ctx, s, keys, recovery, o.sealed())
	if err != nil {
		return nil, err
	}
	return over(objects, o, false), nil
}

// over returns the Repository that stands on objects. If dropped is set, what is condemned counts as dropped.
func over(objects *sealed.Objects, o Options, dropped bool) *Repository {
	local := view.New(objects, view.Options{Dir: o.IndexDir, Connections: o.Connections, Temp: o.Temp, Now: o.Now, Warn: o.Warn, Dropped: dropped})
	return &Repository{Objects: objects, local: local, options: o}
}

// In returns the same repository as it is in another store, with the same keys and without a cache.
func (r *Repository) In(ctx context.Context, s store.Store) (*Repository, error) {
	objects, err := r.Objects.In(ctx, s)
	if err != nil {
		return nil, err
	}
	return over(objects, r.uncached(), false), nil
}

// A Supposition is what could be.
type Supposition struct {
	Keys     *keyring.Keyring
	Verified *sealed.Vouched // what verified records name, and nothing else; not nil
	Dropped  bool            // what is condemned is dropped
}

// Suppose returns the repository as it would be. It has no cache, and warns of nothing: this one does.
func (r *Repository) Suppose(ctx context.Context, s *Supposition) (*Repository, error) {
	objects, err := r.Objects.Suppose(ctx, s.Keys, s.Verified)
	if err != nil {
		return nil, err
	}
	o := r.uncached()
	o.Warn = func(error) {}
	return over(objects, o, s.Dropped), nil
}

func (r *Repository) uncached() Options {
	o := r.options
	o.IndexDir, o.BlockDir, o.RecordDir = "", "", ""
	return o
}

// Options say how the repository works; what was left zero is filled in.
func (r *Repository) Options() Options { return r.options }

// View returns what is indexed on this machine, for a run that writes.
func (r *Repository) View() *view.Local { return r.local }

// SyncIndex brings the local index, and what is known of prune's and repair's lists, up to date: it fetches what is new and forgets what is gone.
// A list that cannot be read is a warning.
func (r *Repository) SyncIndex(ctx context.Context) error { return r.local.SyncIndex(ctx) }

// SyncLists brings up to date what Lists returns, and nothing else.
func (r *Repository) SyncLists(ctx context.Context) error { return r.local.SyncLists(ctx) }

// Lists returns what prune has condemned and dropped, and repair has given up, as of the last sync.
func (r *Repository) Lists() *lists.Set { return r.local.Lists() }

// UnreadIndexes says which index objects could not be looked at when the index was brought up to date; nil: none. What they name may be there.
func (r *Repository) UnreadIndexes() error { return r.local.Unread() }

// ReplacedIndexes returns the index objects that others stand for, as of the last sync: what they say counts no more.
func (r *Repository) ReplacedIndexes() map[index.ObjectID]bool { return r.local.ReplacedIndexes() }

// Chunks returns how many places of chunks, trees and lists the local index knows, those too that prune has dropped. It is 0 before the first SyncIndex.
func (r *Repository) Chunks() int64 { return r.local.Chunks() }

// Close ends the use of the local index, and keeps what was learnt of records.
func (r *Repository) Close() error { return errors.Join(r.local.Close(), r.Objects.Close()) }

// NewReader returns a Reader that knows all that is indexed now.
func (r *Repository) NewReader(ctx context.Context) (*Reader, error) {
	if err := r.SyncIndex(ctx); err != nil {
		return nil, err
	}
	return r.Reader(), nil
}

// NewReaderFor returns a Reader of an archive: it takes chunks from the archive's host, and those on which that might build when the archive was stored.
func (r *Repository) NewReaderFor(ctx context.Context, a *Archive) (*Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil {
		return nil, err
	}
	return rd.For(Of(r.Circle(a))), nil
}

// Circle returns the hosts of whose chunks an archive may be made: those of the store's time, unless the root believes the archive's own. A host that
// may vouch for archives could otherwise date one back to when others lent it their chunks.
func (r *Repository) Circle(a *Archive) keyring.Circle {
	if a.Is(rooted) {
		return r.Keys().Circle(a.Host, a.Dated())
	}
	return r.Keys().Circle(a.Host, a.Stored)
}

// Of accepts what is said of the packs of these hosts. Whoever says it: what can be had there was given the name of that host by who knew its content.
func Of(c keyring.Circle) func(*lookup.Origin) bool {
	return func(o *lookup.Origin) bool { return c.Has(o.Owner) }
}

// Reader returns a Reader that knows what was indexed at the last sync.
func (r *Repository) Reader() *Reader {
	return fetch.New(r.Objects, r.local, fetch.Options{Connections: r.options.Connections})
}

// FreezeIndex brings the local index up to date and returns what it says now, and a Reader.
func (r *Repository) FreezeIndex(ctx context.Context) (*lookup.Frozen, *Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := r.local.Freeze()
	return f, rd, err
}

// NewReaderOf is NewReader, and knows packs, too, that no index object names.
func (r *Repository) NewReaderOf(ctx context.Context, packs []index.Pack) (*Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil || len(packs) == 0 {
		return rd, err
	}
	return rd, r.local.AddUnlisted(packs)
}

// A Reader delivers chunks by their ids.
type Reader = fetch.Reader

// Reads say what was read of packs and archives.
type Reads = ledger.Reads
