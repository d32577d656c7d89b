package session

import (
	"context"
	"fmt"

	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
)

// Archives returns all archives, oldest first, as Repository.Archives does. It remembers the newest of each job, and warns of those that it remembers and that are gone though nobody
// forgot them.
func (s *Session) Archives(ctx context.Context, damaged func(name string, err error)) ([]repo.Archive, error) {
	if s.past() {
		return s.Repository.Archives(ctx, damaged)
	}
	present := map[index.ObjectID]bool{}
	note := func(id string) {
		if id, err := index.ParseObjectID(id); err == nil {
			present[id] = true
		}
	}
	all, err := s.Repository.Archives(ctx, func(name string, err error) {
		note(name[len("archive/"):])
		damaged(name, err)
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		note(all[i].ID)
	}
	seen, err := s.site.State.Seen(s.ID())
	if err != nil {
		s.site.set.Warn(err)
	}
	gone, err := check.Vanished(ctx, s.Repository, func(id index.ObjectID) bool { return present[id] }, s.expected(seen))
	if err != nil {
		return nil, err
	}
	for _, g := range gone {
		s.site.set.Warn(fmt.Errorf("archive %.8s of job %s, which this machine has seen, is gone and nobody forgot it: it was deleted, or an older state of the repository is shown", g.ID, g.Job))
	}
	for _, g := range gone {
		present[g.ID] = true // it should be
	}
	s.remember(seen, all, present)
	return all, nil
}

// past reports whether an earlier state was asked for.
func (s *Session) past() bool { return s.site.set.Bucket.AsOf != "" }

// Wrote remembers an archive that this machine has made.
func (s *Session) Wrote(a *repo.Archive) {
	seen, err := s.site.State.Seen(s.ID())
	if err != nil {
		return // which Archives has told
	}
	if err := s.site.State.SaveSeen(s.ID(), append(seen, s.archiveSeen(a))); err != nil {
		s.site.set.Warn(err)
	}
}

// Seen returns the archives that this machine remembers, and should find.
func (s *Session) Seen() ([]check.Seen, error) {
	if s.past() {
		return nil, nil
	}
	seen, err := s.site.State.Seen(s.ID())
	return s.expected(seen), err
}

// expected returns what of that was seen in this place.
func (s *Session) expected(seen []keyring.ArchiveSeen) []check.Seen {
	var all []check.Seen
	for _, a := range seen {
		if id, err := index.ParseObjectID(a.ID); err == nil && a.URL == s.site.Name {
			all = append(all, check.Seen{ID: id, Job: a.Job})
		}
	}
	return all
}

// remember keeps what there is or should be, though it may be damaged; what was forgotten is forgotten here, too.
func (s *Session) remember(before []keyring.ArchiveSeen, all []repo.Archive, keep map[index.ObjectID]bool) {
	var now []keyring.ArchiveSeen
	for i := range all {
		now = append(now, s.archiveSeen(&all[i]))
	}
	for _, a := range before {
		if id, err := index.ParseObjectID(a.ID); a.URL != s.site.Name || err == nil && keep[id] {
			now = append(now, a)
		}
	}
	if err := s.site.State.SaveSeen(s.ID(), now); err != nil {
		s.site.set.Warn(err)
	}
}

func (s *Session) archiveSeen(a *repo.Archive) keyring.ArchiveSeen {
	return keyring.ArchiveSeen{ID: a.ID, URL: s.site.Name, Host: quote.Text(a.Host), Job: quote.Text(string(a.Job)), Time: a.Time}
}
