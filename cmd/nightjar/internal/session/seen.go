package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/sealed"
	"nightjar/repo/statedir"
)

// ErrGivenUp says of an archive that cannot be read that somebody forgot it, or that a repair recorded it as lost.
var ErrGivenUp = errors.New("it was given up")

// A Roll is the archives as they were listed, for a machine that remembers what it saw: it warns of archives that are gone though nobody forgot them.
type Roll struct {
	*repo.Roll
	s *Session
}

// Roll lists the archives.
func (s *Session) Roll(ctx context.Context) (*Roll, error) {
	roll, err := s.Repository.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return &Roll{roll, s}, nil
}

// Archives is repo's, and remembers the newest of each job. Of archives that cannot be read the error is an ErrGivenUp if that is known.
func (l *Roll) Archives(ctx context.Context, host string, damaged func(name string, err error)) ([]repo.Archive, error) {
	all, err := telling(ctx, l.s, damaged, func(bad func(string, error)) ([]repo.Archive, error) { return l.Roll.Archives(ctx, host, bad) })
	if err != nil {
		return nil, err
	}
	return all, l.s.missAny(ctx, l.Roll, all)
}

// Newest is repo's, and remembers and tells as Archives does.
func (l *Roll) Newest(ctx context.Context, host string, fits func(*repo.Archive) bool, damaged func(name string, err error)) (repo.Found, error) {
	found, err := telling(ctx, l.s, damaged, func(bad func(string, error)) (repo.Found, error) { return l.Roll.Newest(ctx, host, fits, bad) })
	if err != nil {
		return repo.Found{}, err
	}
	return found, l.s.missAny(ctx, l.Roll, found.Opened)
}

// Archives lists and reads the archives of a host, of all if it is "", oldest first.
func (s *Session) Archives(ctx context.Context, host string, damaged func(name string, err error)) ([]repo.Archive, error) {
	roll, err := s.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return roll.Archives(ctx, host, damaged)
}

// missAny warns of archives that this machine has seen and that are gone, and remembers those that were read.
func (s *Session) missAny(ctx context.Context, roll *repo.Roll, read []repo.Archive) error {
	if s.unseen() {
		return nil
	}
	seen, err := s.site.State.Seen(s.ID())
	if err != nil {
		s.site.set.Warn(err)
	}
	gone, err := check.Vanished(ctx, s.Repository, roll.Has, s.expected(seen))
	if err != nil {
		return err
	}
	missed := map[index.ObjectID]bool{}
	for _, g := range gone {
		s.site.set.Warn(fmt.Errorf("archive %.8s of job %s, which this machine has seen, is gone and nobody forgot it: it was deleted, or an older state of the repository is shown", g.ID, g.Job))
		missed[g.ID] = true // it should be there
	}
	s.remember(seen, read, func(id index.ObjectID) bool { return missed[id] || roll.Has(id) })
	return nil
}

// telling reads archives, and tells damaged of those that cannot be read, and whether that is known.
func telling[T any](ctx context.Context, s *Session, damaged func(name string, err error), read func(bad func(string, error)) (T, error)) (T, error) {
	bad := map[string]error{}
	all, err := read(func(name string, err error) {
		if errors.Is(err, repo.ErrDisowned) {
			damaged(name, err)
		} else {
			bad[name] = err
		}
	})
	if err != nil || len(bad) == 0 {
		return all, err
	}
	forgotten, err := retain.Forgotten(ctx, s.Repository, s.PassOver)
	if err == nil {
		err = s.SyncLists(ctx)
	}
	if err != nil {
		return all, err
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		err := bad[name]
		if id, failed := sealed.ObjectID(name); failed == nil {
			if _, gone := forgotten[id]; gone || s.Lists().Object(id) {
				err = fmt.Errorf("%w: %w", ErrGivenUp, err)
			}
		}
		damaged(name, err)
	}
	return all, nil
}

// unseen reports whether there is nothing to compare with: an earlier state was asked for, or this machine remembers nothing.
func (s *Session) unseen() bool { return s.site.set.Bucket.AsOf != "" || s.site.State == "" }

// Wrote remembers an archive that this machine has made.
func (s *Session) Wrote(a *repo.Archive) {
	seen, err := s.site.State.Seen(s.ID())
	if err != nil {
		return // which Archives has told
	}
	made := s.archiveSeen(a)
	made.Made = true
	if err := s.site.State.SaveSeen(s.ID(), append(seen, made)); err != nil {
		s.site.set.Warn(err)
	}
}

// Seen returns the archives that this machine remembers, and should find.
func (s *Session) Seen() ([]check.Seen, error) {
	if s.unseen() {
		return nil, nil
	}
	seen, err := s.site.State.Seen(s.ID())
	return s.expected(seen), err
}

// expected returns what of that was seen in this place.
func (s *Session) expected(seen []statedir.ArchiveSeen) []check.Seen {
	var all []check.Seen
	for _, a := range seen {
		if id, err := index.ParseObjectID(a.ID); err == nil && a.URL == s.site.Name {
			all = append(all, check.Seen{ID: id, Job: a.Job})
		}
	}
	return all
}

// remember keeps what there is or should be, though it may be damaged; what was forgotten is forgotten here, too.
func (s *Session) remember(before []statedir.ArchiveSeen, all []repo.Archive, keep func(index.ObjectID) bool) {
	var now []statedir.ArchiveSeen
	for i := range all {
		now = append(now, s.archiveSeen(&all[i]))
	}
	for _, a := range before {
		if id, err := index.ParseObjectID(a.ID); a.URL != s.site.Name || err == nil && keep(id) {
			now = append(now, a)
		}
	}
	if err := s.site.State.SaveSeen(s.ID(), now); err != nil {
		s.site.set.Warn(err)
	}
}

func (s *Session) archiveSeen(a *repo.Archive) statedir.ArchiveSeen {
	return statedir.ArchiveSeen{ID: a.ID, URL: s.site.Name, Host: quote.Text(a.Host), Job: quote.Text(string(a.Job)), Time: a.Time}
}
