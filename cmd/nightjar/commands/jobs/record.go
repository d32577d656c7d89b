package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/job/history"
	"nightjar/job/jobfile"
	"nightjar/job/record"
)

// recordEvery is how often a job is recorded that goes on as it did: one that runs every ten minutes would fill lists of archives.
const recordEvery = time.Hour

// record writes down in the repository how a job ended. What cannot be written waits for the next run; what cannot wait, as on a full disk, is written at once or not at all.
func (r *jobRuns) record(ctx context.Context, x *jobRun, s *jobstate.State) {
	if r.flags.noRecord || r.file.Log.NoRecords {
		return
	}
	var unkept []*record.Record
	if since := x.End.Sub(s.Recorded); s.As != x.Outcome || since < 0 || since > recordEvery-time.Minute {
		s.Recorded, s.As = x.End, x.Outcome
		if err := r.states.Wait(&x.Record); err != nil {
			r.warn(err)
			unkept = append(unkept, &x.Record)
		}
		if err := r.states.Write(x.Name, *s); err != nil {
			r.warn(err)
		}
	}
	if ctx.Err() == nil {
		r.deliver(ctx, unkept...)
	}
}

// alive records of a service that it runs, and did its work just now: when it has begun, and then from hour to hour.
func (r *jobRuns) alive(ctx context.Context, begun *jobRun, s *jobstate.State, result []byte) {
	x := *begun
	x.End, x.Outcome, x.result = r.Now(), record.Done, result
	x.told()
	x.Notes[history.Running] = "yes"
	if x.Figures["problems"] > 0 {
		x.Outcome, x.Exit, x.Error = record.Problems, outcome.WithProblems, "the binary logs have gaps"
	}
	again := s.Start.Equal(x.Start) && s.Outcome == x.Outcome // as this run told before
	if since := x.End.Sub(s.End); ctx.Err() != nil || again && since >= 0 && since < recordEvery {
		return
	}
	if !again {
		s.Recorded = time.Time{}
	}
	r.remember(&x, s, false)
	r.record(ctx, &x, s)
	r.writeMetrics(ctx)
}

// deliver writes records that could not be kept, and then all that wait.
func (r *jobRuns) deliver(ctx context.Context, unkept ...*record.Record) {
	var open *session.Session
	defer func() {
		if open != nil {
			open.Close()
		}
	}()
	put := func(ctx context.Context, x *record.Record) (err error) {
		if open == nil {
			if open, err = r.Open(ctx, session.Write); err != nil {
				return err
			}
		}
		_, err = recorded.Put(ctx, open, record.Run, x, r.Now)
		return err
	}
	left, err := len(unkept), error(nil)
	for left > 0 && err == nil {
		if err = put(ctx, unkept[len(unkept)-left]); err == nil {
			left--
		}
	}
	if err == nil {
		left, err = r.states.Deliver(ctx, put, r.warn)
	}
	r.mu.Lock()
	worst := r.worst
	r.mu.Unlock()
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, session.ErrNotConfigured):
	case outcome.Code(ctx, err) == outcome.NoRepository && worst == outcome.NoRepository: // which the job said
	default:
		r.warn(fmt.Errorf("runs were not recorded in the repository yet, %d of them: %w", left, err))
	}
}

// lastRecords writes the last record of each job that the job file has no more, once, so that it is not missed for ever. Only jobs that were run from this file are meant, and a file
// with a fault says nothing of those that it seems to lack.
func (r *jobRuns) lastRecords(ctx context.Context) {
	if ctx.Err() != nil || r.flags.noRecord || r.file.Log.NoRecords {
		return
	}
	file, err := r.ReadFile()
	if err != nil || file == nil {
		return
	}
	known, err := r.states.All()
	if err != nil {
		r.warn(err)
	}
	gone := 0
	for _, s := range known {
		if s.File != file.Path || !s.Gone.IsZero() || slices.ContainsFunc(file.Jobs(), func(j jobfile.Job) bool { return j.Name == s.Job }) {
			continue
		}
		ended, err := r.lastRecord(s.Job)
		if err != nil {
			r.warn(fmt.Errorf("job %s is no more in the job file: %w", s.Job, err))
		}
		if ended {
			gone++
		}
	}
	if gone > 0 {
		r.deliver(ctx)
	}
}

// lastRecord has the last record of a job wait to be written, unless that was done, or a run of it is under way.
func (r *jobRuns) lastRecord(name string) (bool, error) {
	lock, err := r.states.Lock(name)
	if err != nil || lock == nil {
		return false, err
	}
	defer lock.Close()
	s, err := r.states.Read(name)
	if err != nil || !s.Gone.IsZero() {
		return false, err
	}
	s.Gone = r.Now()
	s.Recorded, s.As = time.Time{}, "" // if it comes back, its next run is recorded in any case
	last := record.Record{Job: name, Kind: s.Kind, Outcome: record.Done, Start: s.Gone, End: s.Gone, Notes: map[string]string{history.Ended: "taken out of the job file"}}
	if err := r.states.Wait(&last); err != nil {
		return false, err
	}
	return true, r.states.Write(name, s)
}
