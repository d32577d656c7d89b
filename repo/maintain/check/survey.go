package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
)

// A Survey is a check of which the findings wait until it is known what becomes of them. It stops at what is out of reach, where a check goes on: so nothing is
// given up that is still there.
type Survey struct {
	Findings []Finding // what they say may change until Tell
	Bad      map[index.ObjectID]*BadPack
	Gone     map[chunk.ID]*Gone
	Broken   map[chunk.ID]bool // lists that name what is gone

	c *checker
}

// NewSurvey begins a survey. o.Found is told by Tell.
func NewSurvey(ctx context.Context, r *repo.Repository, o Options) (*Survey, error) {
	c, err := newChecker(ctx, r, o)
	if err != nil {
		return nil, err
	}
	s := &Survey{Bad: c.bad, Gone: map[chunk.ID]*Gone{}, Broken: map[chunk.ID]bool{}, c: c}
	c.survey = s
	return s, nil
}

// Objects looks at the objects by themselves, and returns the archives that can be read, oldest first. Of findings before only those stay that are Repaired.
func (s *Survey) Objects(ctx context.Context) ([]repo.Archive, error) {
	s.Findings = slices.DeleteFunc(s.Findings, func(f Finding) bool { return f.What != Repaired })
	s.c.sum = Summary{Opened: s.c.sum.Opened}
	clear(s.Bad)
	clear(s.c.wrong)
	clear(s.c.liars)
	if err := s.c.scan(ctx); err != nil {
		return nil, err
	}
	all, err := s.c.list(ctx)
	if err != nil {
		return nil, err
	}
	return all, s.c.versions(ctx)
}

// Walk looks with rd for what archives need, down to the chunks of all files, and notes what is gone.
func (s *Survey) Walk(ctx context.Context, rd *repo.Reader, archives []repo.Archive) error {
	s.c.rd = rd
	if err := s.c.r.UnreadIndexes(); err != nil {
		return err
	}
	return s.c.walk(ctx, archives)
}

// Unread says what could not be looked at; nil: nothing. Before all is, nothing can be called lost.
func (s *Survey) Unread() error {
	var all []error
	for _, f := range s.Findings {
		if f.What == Unread {
			all = append(all, f.Err)
		}
	}
	return errors.Join(all...)
}

// Tell ends the survey: it tells of all findings, and counts them.
func (s *Survey) Tell() Summary {
	s.c.survey = nil
	for _, f := range s.Findings {
		s.c.found(f)
	}
	return s.c.sum
}

// Lacking walks archives in the repository as it would be, and returns of each that is not whole the first thing that it lacks, by its id. wanted is asked of all
// archives that can be read then, oldest first.
func Lacking(ctx context.Context, r *repo.Repository, then *repo.Supposition, o Options, wanted func(*repo.Archive) bool) (map[string]error, error) {
	trial, err := r.Suppose(ctx, then)
	if err != nil {
		return nil, err
	}
	defer trial.Close()
	s, err := NewSurvey(ctx, trial, o)
	if err != nil {
		return nil, err
	}
	all, err := s.Objects(ctx)
	if err != nil {
		return nil, err
	}
	rd, err := trial.NewReader(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Walk(ctx, rd, slices.DeleteFunc(all, func(a repo.Archive) bool { return !wanted(&a) })); err != nil {
		return nil, err
	}
	lacking := map[string]error{}
	for _, f := range s.Findings {
		if f.Fault() && f.Archive != "" && lacking[f.Archive] == nil {
			if f.Err == nil {
				f.Err = errors.New("parts of it are gone")
			}
			lacking[f.Archive] = fmt.Errorf("%s: %w", f.Path, f.Err)
		}
	}
	return lacking, nil
}
