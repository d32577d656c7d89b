package save

import (
	"cmp"
	"context"
	"time"
)

// dyingTime is what a run that ends early gets to store what is in flight, and as much again to index it.
const dyingTime = 30 * time.Second

// A run is the life of one Writer. It has three ends besides success:
//
//   - The caller cancels. The function that saves is stopped at once; what is in flight has dyingTime to be stored.
//   - The writer fails. The function is stopped, with the writer's reason, and nothing more is sent.
//   - The function fails.
//
// In each case what has been sent is indexed, and nothing is committed.
type run struct {
	caller context.Context         // who waits for the archive
	work   context.Context         // what is read and sent for the run
	fail   context.CancelCauseFunc // ends work; the first reason counts
	stop   func() bool
}

// newRun returns a run for a caller, with dyingTime for what is in flight. End it.
func newRun(caller context.Context) *run {
	r := &run{caller: caller}
	r.work, r.fail = context.WithCancelCause(context.WithoutCancel(caller))
	r.stop = context.AfterFunc(caller, func() {
		timer := time.AfterFunc(dyingTime, func() { r.fail(context.Cause(caller)) })
		context.AfterFunc(r.work, func() { timer.Stop() })
	})
	return r
}

// end lets go of what newRun made.
func (r *run) end() {
	r.stop()
	r.fail(nil)
}

// do calls f. The error is the writer's, if it has failed: that is what made f fail.
func (r *run) do(f func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(r.caller)
	defer stop(nil)
	defer context.AfterFunc(r.work, func() { stop(r.failed()) })()
	err := f(ctx)
	return cmp.Or(r.failed(), err)
}

// failed returns why the writer has failed; nil: it has not.
func (r *run) failed() error { return context.Cause(r.work) }

// last returns the context of what is done after a failure.
func (r *run) last() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.work), dyingTime)
}
