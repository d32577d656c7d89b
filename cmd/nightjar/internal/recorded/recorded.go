// Package recorded keeps records of runs and drills in a repository, and reads from it what job/history goes by.
package recorded

import (
	"context"
	"fmt"
	"time"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/watch"
	"nightjar/job/history"
	"nightjar/job/record"
	"nightjar/repo"
)

// Put writes a record, of kind record.Run or record.Drill, as an archive without files. The session is one that writes.
func Put(ctx context.Context, s *session.Session, kind string, r *record.Record, now func() time.Time) (*repo.Archive, error) {
	made, err := Write(ctx, s.Repository, kind, r, now)
	if err == nil {
		s.Wrote(made)
	}
	return made, err
}

// Write is Put for a repository that is open for writing.
func Write(ctx context.Context, to *repo.Repository, kind string, r *record.Record, now func() time.Time) (*repo.Archive, error) {
	if len(r.Job) == 0 {
		return nil, fmt.Errorf("record a run: its job has no name")
	}
	labels := repo.Labels{}
	for name, value := range r.Labels() {
		labels[repo.Text(name)] = repo.Text(value)
	}
	template := &repo.Record{Kind: repo.Text(kind), Job: repo.Text(kind + " " + r.Job), Labels: labels, Program: "nightjar"}
	made, _, err := backup.Save(ctx, to, template, backup.Options{AllowEmpty: true, Progress: new(watch.Progress), Problem: func(string, error) {}, Now: now},
		func(context.Context, *backup.Run) (repo.Labels, error) { return nil, nil })
	if err != nil {
		return nil, fmt.Errorf("record the run of job %s: %w", r.Job, err)
	}
	return made, nil
}

// History lists all archives as job/history takes them, oldest first.
func History(ctx context.Context, s *session.Session) ([]history.Archive, error) {
	return HistoryOf(ctx, s, "")
}

// HistoryOf lists the archives of a host, of all if it is "".
func HistoryOf(ctx context.Context, s *session.Session, host string) ([]history.Archive, error) {
	all, err := s.Archives(ctx, host, s.PassOver)
	if err != nil {
		return nil, err
	}
	return Of(all), nil
}

// Of returns archives as job/history takes them.
func Of(all []repo.Archive) []history.Archive {
	out := make([]history.Archive, len(all))
	for i := range all {
		a := &all[i]
		labels := make(map[string]string, len(a.Labels))
		for name, value := range a.Labels {
			labels[string(name)] = string(value)
		}
		out[i] = history.Archive{
			ID: a.ID, Host: a.Host, Job: string(a.Job), Kind: string(a.Kind), Source: show.Source(a), Labels: labels, Statistics: a.Statistics,
			Start: a.Start, End: a.End, Stored: a.Dated(), Complete: a.Complete, Counts: a.Counts(), Forgotten: a.Forgotten,
		}
	}
	return out
}
