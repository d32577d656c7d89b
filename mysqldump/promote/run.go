package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// running is a plan on its way.
type running struct {
	p      *Plan
	c      *server.Session
	target mysqldump.Position // of the source, after its last transaction
	done   Promoted
}

// Run runs the steps, and tells report of each before. A step that fails ends the run: what was done stays.
func (p *Plan) Run(ctx context.Context, report func(Step)) (Promoted, error) {
	c, err := p.server.Connect(ctx)
	if err != nil {
		return Promoted{}, err
	}
	defer c.Close()
	r := &running{p: p, c: c}
	for _, step := range p.Steps {
		if report != nil {
			report(step)
		}
		if err := step.run(r, ctx); err != nil {
			return r.done, fmt.Errorf("promote %s: %s: %w", p.server.Address(), step.What, err)
		}
		r.done.Steps++
	}
	return r.done, nil
}

// closeSource makes the source read only, with super_read_only where it has that.
func (r *running) closeSource(ctx context.Context) error {
	c, err := r.p.o.Source.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Exec(ctx, "SET GLOBAL read_only=1"); err != nil {
		return err
	}
	const unknownVariable = 1193
	if err := c.Exec(ctx, "SET GLOBAL super_read_only=1"); err != nil && server.Number(err) != unknownVariable {
		return err
	}
	r.target, err = c.Position(ctx)
	return err
}

func (r *running) waitForSource(ctx context.Context) error {
	_, err := replica.Wait(ctx, r.p.server, replica.WaitOptions{Channel: r.p.o.Channel, Target: r.target, Limit: r.p.o.Limit})
	return err
}

// settled is for how long a replica must have nothing to do that does not come to the end of what it received: the source may
// have died in a transaction.
const settled = time.Second

func (r *running) waitForRelay(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.p.o.Limit, fmt.Errorf("%w: %s", replica.ErrLate, r.p.o.Limit))
	defer cancel()
	quiet := time.NewTimer(settled)
	defer quiet.Stop()
	var last mysqldump.Position
	for {
		s, err := r.status(ctx)
		if err != nil {
			return err
		}
		if s.SQL != "Yes" {
			return &replica.StoppedError{Channel: s.Channel, Thread: "SQL", Failure: s.SQLError, Status: s}
		}
		if s.Executed.File == s.Read.File && s.Executed.Offset == s.Read.Offset {
			return nil
		}
		idle, err := r.idle(ctx, s)
		if err != nil {
			return err
		}
		if !idle || !s.Executed.Equal(last) {
			quiet.Reset(settled)
			last = s.Executed
		}
		select {
		case <-quiet.C:
			return nil
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *running) status(ctx context.Context) (replica.Status, error) {
	all, err := replica.Channels(ctx, r.c)
	for _, s := range all {
		if s.Channel == r.p.o.Channel {
			return s, nil
		}
	}
	return replica.Status{}, errors.Join(err, replica.ErrNoReplica)
}

// idle reports whether neither the SQL thread nor a worker of it executes anything.
func (r *running) idle(ctx context.Context, s replica.Status) (bool, error) {
	if !strings.Contains(s.SQLState, "has read all relay log") {
		return false, nil
	}
	threads, err := r.c.Rows(ctx, "SELECT STATE AS state FROM information_schema.PROCESSLIST WHERE USER='system user'")
	for _, thread := range threads {
		state := thread["state"]
		if state != "" && !strings.HasPrefix(state, "Waiting for") && !strings.Contains(state, "has read all relay log") && !strings.HasPrefix(state, "InnoDB") {
			return false, err
		}
	}
	return true, err
}

func (r *running) notePositions(ctx context.Context) error {
	s, err := r.status(ctx)
	if err != nil {
		return err
	}
	r.done.Executed = s.Executed
	r.done.Position, err = r.c.Position(ctx)
	if errors.Is(err, server.ErrNoBinaryLog) {
		return nil
	}
	return err
}
