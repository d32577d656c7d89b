// Package save writes into a repository: chunks, trees and lists, each once, and last the archive that commits them.
//
// Write gives a function a Writer, and each goroutine of that function has a Saver. What a Saver is handed goes straight
// through: the encoder decides whether it is known, a recipe or whole; fill puts it into frames and packs; putPack stores
// them; and what is stored is indexed once a minute. Repack writes anew what packs hold.
//
// Invariants: an index names only what is stored; an archive is written after all that it needs; a run refers to nothing
// that prune's lists name. The package does not know what files are, nor which packs prune takes.
package save

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/fill"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/view"
)

const (
	indexEvery = time.Minute     // a run that dies has lost about this much
	mergeTime  = 5 * time.Minute // a backup that is done waits no longer for its index objects to be merged
)

// Sent counts what a Writer did. Fields only grow, and may be read at any time.
type Sent struct {
	ChunksNew   atomic.Uint64
	ChunksKnown atomic.Uint64
	PlainNew    atomic.Uint64 // bytes of new chunks
	PlainKnown  atomic.Uint64 // bytes of known ones
	Deltas      atomic.Uint64 // new chunks stored as recipes
	Literals    atomic.Uint64 // bytes of them that nobody had
	Frames      atomic.Uint64 // bytes of new chunks, compressed
	Metadata    atomic.Uint64 // bytes of new trees, lists, recipes and signatures
	Objects     atomic.Uint64
	Bytes       atomic.Uint64 // all that was stored
}

// A Writer stores chunks, trees and lists, each once. It is safe for concurrent use; each goroutine that saves has a Saver.
type Writer struct {
	Sent *Sent
	r    *repo.Repository
	run  *run

	self   string                    // the name of the host whose packs it writes
	accept func(*lookup.Origin) bool // on whose word it builds
	begin  time.Time                 // store time of the first view
	root   bool                      // it writes anew what is known, and index objects as the root

	view      *view.Run    // what this run may refer to
	reader    *repo.Reader // of what was stored before
	bases     *bases
	claims    claims
	packs     *fill.Packs
	unindexed unindexed
}

// Write runs f with a Writer, and commits an archive with the record that f returns: its Root and what the caller knows;
// host, times and views are filled in here. When f fails or ctx ends, what has been sent is indexed for the next run, and
// nothing is committed. Nor is it when f returns no record.
func Write(ctx context.Context, r *repo.Repository, sent *Sent, f func(ctx context.Context, w *Writer) (*repo.Record, error)) (*repo.Archive, error) {
	w := &Writer{Sent: sent, r: r}
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	defer w.view.Close()
	w.run = newRun(ctx)
	defer w.run.end()
	if err := w.open(r.Host()); err != nil {
		return nil, err
	}
	var record *repo.Record
	err := w.run.do(func(ctx context.Context) (err error) {
		record, err = f(ctx, w)
		return err
	})
	if err == nil {
		err = w.complete()
	}
	if err != nil {
		w.salvage()
		return nil, err
	}
	if err := ctx.Err(); err != nil || record == nil {
		return nil, err
	}
	return w.commit(ctx, record)
}

// Add runs f with a Writer and commits nothing: what was saved is indexed.
func Add(ctx context.Context, r *repo.Repository, sent *Sent, f func(ctx context.Context, w *Writer) error) error {
	_, err := Write(ctx, r, sent, func(ctx context.Context, w *Writer) (*repo.Record, error) { return nil, f(ctx, w) })
	return err
}

// Reader returns a Reader that knows what was indexed when the run began, and what it has added.
func (w *Writer) Reader() *repo.Reader { return w.r.Reader() }

// start takes the first view, and decides on whose word the run builds.
func (w *Writer) start(ctx context.Context) error {
	if w.r.Host() == nil {
		return errors.New("write: no host key")
	}
	now, err := w.r.StoreTime(ctx)
	if err != nil {
		return fmt.Errorf("write to the repository: %w", err)
	}
	unread, err := w.r.View().Take(ctx)
	if err = errors.Join(err, unread); err != nil { // what cannot be read may condemn what the run would refer to
		return err
	}
	if err := w.trust(now); err != nil {
		return err
	}
	w.begin, w.unindexed.last = now, w.r.Options().Now()
	w.view, w.reader = w.r.View().Begin(now, w.accept), w.r.Reader()
	w.bases = newBases(w.reader, w.view)
	w.claims.all, w.unindexed.ours = map[chunk.Key]bool{}, map[index.ObjectID]struct{}{}
	return nil
}

// trust decides on whose word a run builds that begins now: as its archive will be read, but for marked keys, whose word is
// no word for a writer.
func (w *Writer) trust(now time.Time) (err error) {
	host := w.r.Host().Fingerprint()
	if err := w.r.Keys().MayWrite(host, "archive", now); err != nil {
		return err
	}
	if w.self, err = w.r.Keys().HostName(host); err != nil {
		return err
	}
	circle := w.r.Keys().Circle(w.self, now)
	trusted := map[string]bool{}
	for _, s := range w.r.Keys().Signers("index", circle.Names()...) {
		trusted[string(s.Key.Fingerprint())] = true
	}
	w.accept = func(o *lookup.Origin) bool {
		return !o.Late && (o.Owner == w.self || circle.Has(o.Owner)) && trusted[o.Signer]
	}
	return nil
}

// open makes what packs are filled in.
func (w *Writer) open(signer *crypto.Key) (err error) {
	o := w.r.Options()
	w.packs, err = fill.New(w.run.work, w.run.fail, fill.Options{
		Owner:       w.self,
		Compression: o.Compression,
		Connections: o.Connections,
		Sealer:      func(kind pack.Kind) (*crypto.Sealer, error) { return w.r.PackSealer(kind, signer) },
		Put:         w.putPack,
		Stored:      w.storedPack,
		Compressed:  &w.Sent.Frames,
	})
	return err
}

// IndexEach has what is stored be indexed as soon as it is n chunks of content, besides once a minute. A run that dies has lost what was not. It is for the
// time before anything is saved.
func (w *Writer) IndexEach(n int) { w.unindexed.most = max(1, min(n, view.ObjectChunks)) }

// Flush sends all that was saved, so that Sent is complete but for the index and the archive. No Saver may be in use.
func (w *Writer) Flush() error { return w.packs.Flush() }

// complete stores all that was saved, and indexes it.
func (w *Writer) complete() error {
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.run.failed(); err != nil {
		return err
	}
	return w.writeIndex(w.run.work, true)
}

// salvage stores what is in finished frames, unless the writer itself has failed, and indexes what is stored: it serves the
// next run.
func (w *Writer) salvage() {
	w.view.End()
	w.packs.Send()
	err := w.packs.Wait()
	if errors.Is(w.run.failed(), err) {
		err = nil
	}
	ctx, cancel := w.run.last()
	defer cancel()
	if err = errors.Join(err, w.writeIndex(ctx, false)); err != nil {
		w.r.Options().Warn(fmt.Errorf("index what was sent: %w", err))
	}
}

// commit writes the archive, by a view that is not too old. All that it needs is stored and indexed.
func (w *Writer) commit(ctx context.Context, record *repo.Record) (*repo.Archive, error) {
	var now time.Time
	for renewed := true; renewed; {
		var err error
		if now, renewed, err = w.view.Current(ctx); err == nil && renewed {
			err = w.putIndex(ctx, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
	}
	record.Version, record.Host = repo.FormatVersion, w.self
	record.Views, record.Time = w.view.Views(), now.UTC()
	archive, size, err := w.r.PutArchive(ctx, record)
	if err != nil {
		return nil, err
	}
	w.sent(size)
	w.tidyIndex(ctx, archive.Stored)
	return archive, nil
}

// tidyIndex makes the next run's start cheaper. The backup is done, whatever comes of this.
func (w *Writer) tidyIndex(ctx context.Context, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, mergeTime)
	defer cancel()
	info, err := w.r.View().Merge(limited, now)
	if err == nil && info.Size > 0 {
		w.sent(info.Size)
	}
	if flushed := w.r.View().Flush(); err == nil {
		err = flushed
	}
	if err != nil && ctx.Err() == nil {
		w.r.Options().Warn(fmt.Errorf("merge index objects: %w", err))
	}
}

// sent counts an object of the size given.
func (w *Writer) sent(size int64) {
	w.Sent.Objects.Add(1)
	w.Sent.Bytes.Add(uint64(size))
}
