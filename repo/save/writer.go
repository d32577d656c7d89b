// Package save writes into a repository: chunks, trees and lists, each once, and last the archive that commits them.
//
// Write gives a function a Writer, and each goroutine of that function has a Saver. What is decided here is what is stored
// already, what becomes a recipe, when packs are indexed, and when the archive may be written. Repack writes anew what packs
// hold.
//
// Invariants: an index names only what is stored; an archive is written after all that it needs; a run refers to nothing
// that prune's lists name. What a run may refer to is known by view; fill puts what is saved into packs.
package save

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/internal/lru"
	"nightjar/repo"
	"nightjar/repo/fill"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/view"
)

const (
	indexEvery = time.Minute      // a run that dies has lost about this much
	dyingTime  = 30 * time.Second // for what is in flight when a run is cancelled
	mergeTime  = 5 * time.Minute  // a backup that is done waits no longer for its index objects to be merged
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
	Sent   *Sent
	r      *repo.Repository
	self   string // the name of this host
	ctx    context.Context
	fail   context.CancelCauseFunc
	accept func(*index.Origin) bool // on whose word it builds
	begin  time.Time                // store time of the first view
	root   bool                     // it writes anew what is known, and index objects as the root

	reader *repo.Reader                            // of what was stored before
	sums   *lru.Cache[chunk.Key, *delta.Signature] // nil for a chunk that has none

	run       *view.Run // what this run may refer to
	claims    claims
	packs     *fill.Packs
	unindexed unindexed
}

// Write runs f with a Writer, and commits an archive with the record that it returns: its Root and what the caller knows; host, times and views are filled in here.
// When f fails or ctx ends, what has been sent is indexed for the next run, and nothing is committed; nor is it when f returns none.
func Write(ctx context.Context, r *repo.Repository, sent *Sent, f func(ctx context.Context, w *Writer) (*repo.Record, error)) (*repo.Archive, error) {
	if r.Host() == nil {
		return nil, errors.New("write: no host key")
	}
	w := &Writer{r: r, Sent: sent}
	now, err := r.StoreTime(ctx)
	if err != nil {
		return nil, fmt.Errorf("write to the repository: %w", err)
	}
	unread, err := r.View().Take(ctx)
	if err = errors.Join(err, unread); err != nil { // what cannot be read may condemn what the run would refer to
		return nil, err
	}
	if err := w.trust(now); err != nil {
		return nil, err
	}
	w.begin, w.unindexed.last = now, r.Options().Now()
	w.run = r.View().Begin(now, w.accept)
	defer w.run.Close()
	w.claims.all, w.unindexed.ours = map[chunk.Key]bool{}, map[index.ObjectID]struct{}{}
	w.reader, w.sums = r.Reader(), lru.New[chunk.Key, *delta.Signature](signatures)

	// A cancelled run still gets a moment to finish what is in flight, and to index it.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	w.fail = cancel
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(dyingTime, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(work, func() { timer.Stop() })
	})()
	w.ctx = work
	if err := w.open(r.Host()); err != nil {
		return nil, err
	}

	fctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(work, func() { stop(context.Cause(work)) })()
	record, err := f(fctx, w)
	if cause := context.Cause(work); cause != nil {
		err = cause // what made f fail
	}
	if err != nil {
		if salvaged := w.finish(false); salvaged != nil && !errors.Is(err, salvaged) {
			r.Options().Warn(fmt.Errorf("index what was sent: %w", salvaged))
		}
		return nil, err
	}
	if err := w.finish(true); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil || record == nil {
		return nil, err
	}
	for renewed := true; renewed; {
		if now, renewed, err = w.run.Current(ctx); err == nil && renewed {
			err = w.putIndex(ctx, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
	}
	record.Version, record.Host = repo.FormatVersion, w.self
	record.Views, record.Time = w.run.Views(), now.UTC()
	archive, size, err := r.PutArchive(ctx, record)
	if err != nil {
		return archive, err
	}
	sent.Objects.Add(1)
	sent.Bytes.Add(uint64(size))
	w.tidyIndex(ctx, archive.Stored)
	return archive, nil
}

// Add runs f with a Writer and commits nothing: what was saved is indexed.
func Add(ctx context.Context, r *repo.Repository, sent *Sent, f func(ctx context.Context, w *Writer) error) error {
	_, err := Write(ctx, r, sent, func(ctx context.Context, w *Writer) (*repo.Record, error) { return nil, f(ctx, w) })
	return err
}

// Reader returns a Reader that knows what was indexed when the run began, and what it has added.
func (w *Writer) Reader() *repo.Reader { return w.r.Reader() }

// tidyIndex makes the next run's start cheaper. The backup is done, whatever comes of this.
func (w *Writer) tidyIndex(ctx context.Context, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, mergeTime)
	defer cancel()
	info, err := w.r.View().Merge(limited, now)
	if err == nil && info.Size > 0 {
		w.Sent.Objects.Add(1)
		w.Sent.Bytes.Add(uint64(info.Size))
	}
	if flushed := w.r.View().Flush(); err == nil {
		err = flushed
	}
	if err != nil && ctx.Err() == nil {
		w.r.Options().Warn(fmt.Errorf("merge index objects: %w", err))
	}
}

// trust sets on whose word this run builds, which begins now: as its archive will be read, but for marked keys, whose word is no word for a writer.
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
	w.accept = func(o *index.Origin) bool {
		return !o.Late && (o.Owner == w.self || circle.Has(o.Owner)) && trusted[o.Signer]
	}
	return nil
}

// open makes what packs are filled in.
func (w *Writer) open(signer *crypto.Key) (err error) {
	w.packs, err = fill.New(w.ctx, w.fail, fill.Options{
		Owner:       w.self,
		Compression: w.r.Options().Compression,
		Connections: w.r.Options().Connections,
		Sealer:      func(kind pack.Kind) (*crypto.Sealer, error) { return w.r.PackSealer(kind, signer) },
		Put:         w.putPack,
		Stored:      w.storedPack,
		Compressed:  &w.Sent.Frames,
	})
	return err
}

// Flush sends all that was saved, so that Sent is complete but for the index and the archive. No Saver may be in use.
func (w *Writer) Flush() error { return w.packs.Flush() }

// finish stores all that is open. With whole, everything that was saved; else only packs that are full of finished frames.
func (w *Writer) finish(whole bool) error {
	var err error
	if whole {
		err = w.Flush()
	} else {
		w.run.End()
		w.packs.Send()
		if err = w.packs.Wait(); errors.Is(context.Cause(w.ctx), err) {
			err = nil
		}
	}
	if cause := context.Cause(w.ctx); whole && cause != nil && err == nil {
		err = cause
	}
	whole = whole && err == nil
	if whole {
		return w.writeIndex(w.ctx, true)
	}
	// Even beside a failure, what was stored serves the next run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), dyingTime)
	defer cancel()
	return errors.Join(err, w.writeIndex(ctx, false))
}
