package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// ErrLost says that repair has given a chunk up.
var ErrLost = fmt.Errorf("repair gave it up as lost: %w", crypto.ErrIntegrity)

// Lost is what the records of repair say together. Nil says nothing. It does not change.
type Lost struct {
	records map[index.ObjectID]record.Lost
	places  *lists.Set
	chunks  map[chunk.ID]bool
	objects map[index.ObjectID]bool
}

func newLost(records map[index.ObjectID]record.Lost) *Lost {
	l := &Lost{records: records, chunks: map[chunk.ID]bool{}, objects: map[index.ObjectID]bool{}}
	places := map[index.ObjectID]lists.List{}
	for id, r := range records {
		places[id] = lists.List{Fate: lists.Lost, Packs: r.Packs, Blobs: r.Blobs}
		for _, c := range r.Chunks {
			l.chunks[c.ID] = true
		}
		for _, id := range r.Objects {
			l.objects[id] = true
		}
	}
	l.places = lists.New(places)
	return l
}

// Pack reports whether all of a pack was given up.
func (l *Lost) Pack(id index.ObjectID) bool { return l != nil && l.places.Pack(id) != 0 }

// Blob reports whether a place of a chunk was given up.
func (l *Lost) Blob(id index.ObjectID, key chunk.Key, typ pack.Type) bool {
	return l != nil && l.places.Blob(id, key, typ) != 0
}

// Chunk reports whether a chunk, tree or list was given up. It may have been stored again since.
func (l *Lost) Chunk(id chunk.ID) bool { return l != nil && l.chunks[id] }

// Object reports whether an archive or another record was given up.
func (l *Lost) Object(id index.ObjectID) bool { return l != nil && l.objects[id] }

// Empty reports whether no place was given up.
func (l *Lost) Empty() bool { return l == nil || l.places.Empty() }

// Lost returns what repair has given up, as of the last sync.
func (r *Repository) Lost() *Lost { return r.lost.Load() }

// SyncLost reads the records of repair that are new. One that cannot be read says nothing: who reads may look for what is gone, and who writes then builds on it as before.
func (r *Repository) SyncLost(ctx context.Context) error {
	known := map[index.ObjectID]record.Lost{}
	if l := r.Lost(); l != nil {
		known = l.records
	}
	seen := map[index.ObjectID]record.Lost{}
	if own, ok := known[index.ObjectID{}]; ok {
		seen[index.ObjectID{}] = own
	}
	err := r.store.List(ctx, record.LostKind+"/", func(i store.Info) error {
		if sum, ok := sumOf(i.Name); ok && isRecordName(record.LostKind, i.Name) {
			if l, ok := known[sum]; ok {
				seen[sum] = l
				return nil
			}
			content, _, err := r.record(ctx, i)
			var l record.Lost
			if err == nil {
				err = record.Decode(content, &l)
			}
			switch {
			case err == nil:
				seen[sum] = l
			case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
				return errors.Join(err, ctx.Err())
			default:
				r.options.Warn(fmt.Errorf("what repair gave up is not known: %w", err))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what repair gave up: %w", err)
	}
	if !slices.Equal(slices.SortedFunc(maps.Keys(known), compareIDs), slices.SortedFunc(maps.Keys(seen), compareIDs)) {
		r.lost.Store(newLost(seen))
	}
	return nil
}

func compareIDs(a, b index.ObjectID) int { return slices.Compare(a[:], b[:]) }

// GiveUp adds to what is known of losses, before a record says it: so that Add stores again what lay there.
func (r *Repository) GiveUp(l record.Lost) {
	records := map[index.ObjectID]record.Lost{}
	if before := r.Lost(); before != nil {
		maps.Copy(records, before.records)
	}
	own := records[index.ObjectID{}] // in no record yet
	own.Packs, own.Blobs = slices.Concat(own.Packs, l.Packs), slices.Concat(own.Blobs, l.Blobs)
	records[index.ObjectID{}] = own
	r.lost.Store(newLost(records))
}

// PutLost writes a record of what was given up.
func (r *Repository) PutLost(ctx context.Context, l record.Lost) error {
	content, err := record.Encode(l)
	if err != nil {
		return err
	}
	_, err = r.PutRecord(ctx, record.LostKind, content)
	return err
}
