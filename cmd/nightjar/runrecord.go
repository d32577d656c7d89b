package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/job/record"
)

// recordEvery is how often a job is recorded that goes on as it did: one that runs every ten minutes would fill lists of archives.
const recordEvery = time.Hour

// record writes down in the repository how a job ended. What cannot be written waits for the next run.
func (r *jobRuns) record(ctx context.Context, x *jobRun, s jobstate.State) {
	if r.flags.noRecord || r.file.Log.NoRecords {
		return
	}
	if since := x.End.Sub(s.Recorded); s.As != x.Outcome || since < 0 || since > recordEvery-time.Minute {
		s.Recorded, s.As = x.End, x.Outcome
		err := r.states.Wait(&x.Record)
		if err == nil {
			err = r.states.Write(x.Name, s)
		}
		if err != nil {
			r.warn(err)
			return
		}
	}
	if ctx.Err() == nil {
		r.deliver(ctx)
	}
}

// deliver writes all records that wait.
func (r *jobRuns) deliver(ctx context.Context) {
	var open *session.Session
	defer func() {
		if open != nil {
			open.Close()
		}
	}()
	left, err := r.states.Deliver(ctx, func(ctx context.Context, x *record.Record) (err error) {
		if open == nil {
			if open, err = r.Open(ctx, session.Write); err != nil {
				return err
			}
		}
		_, err = recorded.Put(ctx, open, record.Run, x, r.Now)
		return err
	}, r.warn)
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
