// Package repair heals a repository: it brings back what is missing or damaged, makes indexes again, and records what stays lost.
//
// Nothing here changes or removes an object that anybody could use: what is written is new, or the very bytes that its name stands for.
package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/lists"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Options say what a repair may use.
type Options struct {
	Check      check.Options                         // it finds what a check with these options finds
	From       store.Store                           // another copy of the repository, which is only read; nil: none
	Source     func(path string) (SourceFile, error) // opens what lies under a path of an archive now; nil: nothing does
	AcceptLoss bool                                  // record a loss, however much of the repository it is
	DryRun     bool                                  // write nothing, and say what could be repaired
}

// A SourceFile is a file that may still have what was saved of it.
type SourceFile interface {
	io.ReaderAt
	io.Closer
}

// Run finds what a check finds and heals what it can: objects come back from another copy, the good frames of damaged packs are packed anew (of content, with a recovery
// key), indexes are made again (with one), and chunks are saved again from the files that they were of. What stays lost when it was looked at twice is recorded, so that no backup builds on it, and the next one
// saves what it still has. Nothing is written but new objects, and objects under the name that is their hash.
func Run(ctx context.Context, r *repo.Repository, o Options) (sums check.Summary, err error) {
	s, err := check.NewSurvey(ctx, r, o.Check)
	if err != nil {
		return sums, err
	}
	m := &mender{Survey: s, r: r, o: &o, back: map[string]int{}, late: map[string]time.Time{}}
	defer func() { sums = s.Tell() }()
	if m.begin, err = r.TimeFor(ctx, o.DryRun); err != nil {
		return sums, err
	}
	all, err := m.objects(ctx)
	if err != nil {
		return sums, err
	}
	// What has come back is seen by a new reader.
	if m.rd, err = r.NewReader(ctx); err != nil {
		return sums, err
	}
	m.lost = r.Lists()
	if err := s.Walk(ctx, m.rd, all); err != nil {
		return sums, err
	}
	if err := s.Again(ctx, r); err != nil {
		return sums, err
	}
	if err := m.regain(ctx); err != nil {
		return sums, err
	}
	share := s.Share(all)
	lost, err := m.chunks(ctx)
	if err != nil {
		return sums, err
	}
	if err := m.large(&lost, share); err != nil {
		return sums, errors.Join(m.vouch(ctx, all), err)
	}
	return sums, errors.Join(m.vouch(ctx, all), m.record(ctx, lost))
}

// A mender is a running repair.
type mender struct {
	*check.Survey
	r       *repo.Repository
	rd      *repo.Reader
	o       *Options
	lost    *lists.Set           // what was given up before, besides prune's
	begin   time.Time            // by the store's clock
	back    map[string]int       // kinds of objects that were put back
	late    map[string]time.Time // archives that have come back with another time: what it was
	rebuilt bool                 // the damaged index objects are not needed any more
}

// objects brings back what is missing or damaged as a whole, and returns the archives that there are then.
func (m *mender) objects(ctx context.Context) ([]repo.Archive, error) {
	look := func() (all []repo.Archive, err error) {
		if all, err = m.Objects(ctx); err == nil {
			err = m.hiddenBeside(ctx)
		}
		if err == nil {
			err = m.fromVersions(ctx)
		}
		if err == nil {
			err = m.fromCopy(ctx)
		}
		return all, err
	}
	all, err := look()
	if err == nil {
		err = m.Unread()
	}
	if err == nil && m.back["index"]+m.back["archive"] > 0 { // which name others
		all, err = look()
	}
	if err == nil {
		err = m.endLists(ctx) // so that it names packs, too, that are about to have an index again
	}
	if err == nil {
		err = m.indexes(ctx)
	}
	return all, err
}

// indexes makes indexes of packs that have none.
func (m *mender) indexes(ctx context.Context) error {
	bare := 0
	for _, f := range m.Findings {
		if f.What == check.Unindexed {
			bare++
		}
	}
	m.rebuilt = bare == 0
	if m.rebuilt || !m.r.CanReadContent() {
		return nil
	}
	if m.o.DryRun {
		m.Findings = append(m.Findings, check.Finding{What: check.Mendable, Object: "index", Err: fmt.Errorf("it would be made again of %d packs, as far as they can be opened", bare)})
		return nil
	}
	left := map[string]bool{}
	done, err := RebuildIndex(ctx, m.r, RebuildOptions{Skipped: func(info store.Info, err error) {
		if errors.Is(err, store.ErrArchived) || errors.Is(err, crypto.ErrNotInForce) {
			left[info.Name] = true
		}
	}})
	if err != nil {
		return err
	}
	m.rebuilt = len(left) == 0 // what is not indexed now cannot be
	if done.Objects > 0 {
		m.Findings = slices.DeleteFunc(m.Findings, func(f check.Finding) bool { return f.What == check.Unindexed && !left[f.Object] })
		m.Findings = append(m.Findings, check.Finding{What: check.Repaired, Object: "index", Err: fmt.Errorf("made again of %d packs", done.Packs)})
	}
	return nil
}

// record writes down what stays lost.
func (m *mender) record(ctx context.Context, lost record.Lost) error {
	for i := range m.Findings {
		f := &m.Findings[i]
		id, err := sealed.ObjectID(f.Object)
		if f.What == check.False && !m.o.DryRun && err == nil { // from now on that is known
			lost.Objects = append(lost.Objects, id)
			f.What = check.Lost
			continue
		}
		if m.o.DryRun || f.What != check.Missing && f.What != check.Damaged || err != nil {
			continue
		}
		if errors.Is(f.Err, crypto.ErrNotInForce) { // its bytes are there, and with its time it would be as good as ever
			continue
		}
		switch kind := sealed.Kind(f.Object); {
		case kind == "content", kind == "metadata": // what it takes along is told by itself
			if !slices.Contains(lost.Packs, id) {
				lost.Objects = append(lost.Objects, id)
			}
			f.What, f.Err = check.Lost, errors.New("nothing builds on what is spoilt of it any more")
		case kind == "index" && m.rebuilt:
			lost.Objects = append(lost.Objects, id)
			f.What, f.Err = check.Repaired, errors.New("all packs that can be opened are indexed without it")
		case kind == "archive" && (f.What == check.Missing || check.IsGone(f.Err)):
			lost.Objects = append(lost.Objects, id)
		}
	}
	if m.o.DryRun {
		return nil
	}
	return losses.Put(ctx, m.r, lost)
}

// endLists ends lists of prune that nobody can read.
func (m *mender) endLists(ctx context.Context) error {
	of := func(f *check.Finding) bool {
		kind := sealed.Kind(f.Object)
		return (kind == record.CondemnedKind || kind == record.DroppedKind) && f.What == check.Damaged && check.IsGone(f.Err)
	}
	if !slices.ContainsFunc(m.Findings, func(f check.Finding) bool { return of(&f) }) {
		return nil
	}
	ended, err := prune.EndUnread(ctx, m.r, prune.Options{DryRun: m.o.DryRun})
	if err != nil {
		return err
	}
	if err := m.r.SyncLists(ctx); err != nil {
		return err
	}
	for i := range m.Findings {
		f := &m.Findings[i]
		id, err := sealed.ObjectID(f.Object)
		if f.What == check.Missing && err == nil && m.r.Lists().Pack(id)&lists.Condemned != 0 {
			f.What, f.Err = check.Lost, errors.New("a list that cannot be read has dropped it, as it seems: no archive needs it")
		}
		if err != nil || !of(f) || !slices.Contains(ended, id) {
			continue
		}
		f.What, f.Err = check.Repaired, errors.New("what it may have named is condemned: it goes a grace period later with the prune that drops that, and stops no backup until then")
		if m.o.DryRun {
			f.What, f.Err = check.Mendable, errors.New("what it may have named would be condemned, and it would stop no backup any more")
		}
	}
	return nil
}
