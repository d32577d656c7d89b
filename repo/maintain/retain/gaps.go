package retain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// ErrGap says that an archive is missing that should be there.
var ErrGap = fmt.Errorf("an archive is missing: %w", crypto.ErrIntegrity)

// A GapError says that an archive is not listed, though something says that it should be, nobody forgot it and no repair recorded it as lost.
// It is an ErrGap, or an ErrUnavailable if the archive is stored all the same.
type GapError struct {
	Archive index.ObjectID // the first that is missing
	Said    string         // what says so
	More    int            // that are missing, too
	Stored  bool           // it is there, but the store does not list it
}

func (e *GapError) Error() string {
	what := "is gone or hidden, and nobody forgot it"
	if e.Stored {
		what = "is there, but the store does not list it"
	}
	text := fmt.Sprintf("archive %s %s: %s", e.Archive, what, e.Said)
	if e.More > 0 {
		text += fmt.Sprintf("; so are archives more: %d", e.More)
	}
	return text
}

// Unwrap says what that means.
func (e *GapError) Unwrap() error {
	if e.Stored {
		return store.ErrUnavailable
	}
	return ErrGap
}

// Seen is an archive that this host has seen in the repository.
type Seen struct {
	ID  index.ObjectID
	Job string // for people
}

// Gaps returns the archives that predecessors name, be it in archives or in what is written of forgotten ones that are gone, and that are neither listed nor forgotten; of each what says that
// it should be there. all are the archives that can be read; listed reports whether there is any of that id.
func Gaps(all []repo.Archive, forgotten map[index.ObjectID]GivenUp, listed func(index.ObjectID) bool) map[index.ObjectID]string {
	gaps := map[index.ObjectID]string{}
	expect := func(id index.ObjectID, said string) {
		if _, gone := forgotten[id]; !gone && !listed(id) {
			gaps[id] = said
		}
	}
	predecessor := func(predecessor, of string) {
		if id, err := index.ParseObjectID(predecessor); err == nil {
			expect(id, fmt.Sprintf("archive %s names it as its predecessor", of))
		}
	}
	for i := range all {
		predecessor(all[i].Predecessor, all[i].ID)
	}
	for id, f := range forgotten {
		if !listed(id) {
			predecessor(f.Predecessor, id.String())
		}
	}
	return gaps
}

// Unseen is Gaps for archives that this host has seen.
func Unseen(seen []Seen, forgotten map[index.ObjectID]GivenUp, listed func(index.ObjectID) bool) map[index.ObjectID]string {
	gaps := map[index.ObjectID]string{}
	for _, s := range seen {
		if _, gone := forgotten[s.ID]; !gone && !listed(s.ID) {
			gaps[s.ID] = fmt.Sprintf("this machine has seen it, of job %s", s.Job)
		}
	}
	return gaps
}

// Unbroken returns a GapError for gaps that no repair knows of, unless the repository says that it is a copy of chosen archives: whoever goes by a listing of archives that lacks some
// would take a part for all.
func Unbroken(ctx context.Context, r *repo.Repository, gaps map[index.ObjectID]string) error {
	if len(gaps) == 0 {
		return nil
	}
	chosen, err := isChosen(ctx, r)
	if chosen || err != nil {
		return err
	}
	ids := slices.SortedFunc(maps.Keys(gaps), func(a, b index.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	gap := &GapError{Archive: ids[0], Said: gaps[ids[0]], More: len(ids) - 1}
	_, err = r.Store().Stat(ctx, "archive/"+gap.Archive.String())
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("look for archive %s: %w", gap.Archive, err)
	}
	gap.Stored = err == nil
	return gap
}

// errChosen ends a search.
var errChosen = errors.New("an index object was made for readers alone")

// isChosen reports whether the repository is a copy of chosen archives, as an index object that was made for readers alone says.
func isChosen(ctx context.Context, r *repo.Repository) (bool, error) {
	if ok, err := MayBeCopy(ctx, r); !ok || err != nil {
		return false, err
	}
	err := r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if x.Err == nil && x.Object.Time.IsZero() {
			return errChosen
		}
		return nil
	})
	if errors.Is(err, errChosen) {
		return true, nil
	}
	return false, err
}

// MayBeCopy reports whether the repository may be a copy. In a bucket it is one only if the root says so: any host could store an index object that is made
// for readers alone at home, and hide by it that archives are gone. Of other places nobody can tell.
func MayBeCopy(ctx context.Context, r *repo.Repository) (bool, error) {
	c, ok := r.Store().(store.Claimer)
	if !ok {
		return true, nil
	}
	claim, stored, err := c.Claim(ctx)
	if err != nil {
		return false, fmt.Errorf("ask whether the place is a copy: %w", err)
	}
	return claim != nil && r.Keys().IsCopy(claim, c.Place(), stored) == nil, nil
}

// Missing returns the gaps of both kinds that no repair knows of. all are the archives that were read, and listed reports whether one was listed, readable or not.
func Missing(ctx context.Context, r *repo.Repository, all []repo.Archive, listed func(index.ObjectID) bool, seen []Seen, damaged func(name string, err error)) (map[index.ObjectID]string, error) {
	forgotten, err := Forgotten(ctx, r, damaged)
	if err != nil {
		return nil, err
	}
	if err := r.SyncLists(ctx); err != nil {
		return nil, err
	}
	lost := r.Lists()
	known := func(id index.ObjectID) bool { return listed(id) || lost.Object(id) }
	gaps := Gaps(all, forgotten, known)
	maps.Copy(gaps, Unseen(seen, forgotten, known))
	return gaps, nil
}
