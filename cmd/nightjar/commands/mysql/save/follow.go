package save

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
)

// foldAfter is after how many archives those before the newest are given up together, and the repository is opened
// again: a record for each would add up.
const foldAfter = 60

// follow saves what is new at every interval until it is stopped. What fails is tried again: only the first time counts as
// an error, before anything was saved.
func (r *binlogRun) follow(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer func() { r.s.Close() }()
	tick := time.NewTicker(r.flags.interval)
	defer tick.Stop()
	made := 0
	for first := true; ; first = false {
		n, err := r.step(ctx, first)
		made += n
		if err == nil && made >= foldAfter {
			made, err = 0, r.again(ctx)
		}
		if err == nil && ctx.Err() == nil && r.JSON {
			err = r.tellStep()
		}
		switch {
		case ctx.Err() != nil:
			if r.previous == nil {
				return ctx.Err()
			}
			return r.incomplete(show.ShortID(r.previous))
		case err != nil && first:
			return err
		case err != nil:
			r.Warn(fmt.Errorf("%w; it is tried again in %v", err, r.flags.interval))
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// tellStep prints a line after each look that came to a good end: whoever runs this knows that it does its work, also while the server writes nothing.
func (r *binlogRun) tellStep() error {
	line, err := json.Marshal(map[string]any{"archive": show.Archive(r.previous), "problems": r.Problems.Load()})
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return r.Result(string(line))
}

// step makes an archive if there is something new, and returns how many it made.
func (r *binlogRun) step(ctx context.Context, first bool) (int, error) {
	if first {
		if err := r.fold(ctx); err != nil {
			return 0, err
		}
	}
	if ctx.Err() != nil {
		return 0, nil
	}
	news := false
	err := r.watched(ctx, func(ctx context.Context) (err error) {
		news, err = r.news(ctx)
		return err
	})
	if err != nil || !news {
		return 0, err
	}
	result, err := r.save(ctx)
	if err != nil {
		return 0, err
	}
	r.Note("archive %s: up to %s:%d", show.ShortID(result.made), result.Position.File, result.Position.Offset)
	return 1, nil
}

// again gives up what is superseded, and opens the repository anew: keys and dumps may have changed.
func (r *binlogRun) again(ctx context.Context) error {
	if err := r.fold(ctx); err != nil {
		return err
	}
	r.s.Close()
	return r.open(ctx)
}

// news reports whether the server has written anything that the archive before has not.
func (r *binlogRun) news(ctx context.Context) (bool, error) {
	if len(r.entries) == 0 {
		return true, nil
	}
	c, err := r.srv.Connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	at, err := c.Position(ctx)
	if err != nil {
		return false, err
	}
	id, err := c.Identity(ctx)
	last := &r.entries[len(r.entries)-1]
	return !sameEnd(last.Name, last.Size, at.File, at.Offset) || last.ServerID != id.ServerID || last.ServerUUID != id.ServerUUID, err
}

func sameEnd(name string, size uint64, file string, offset uint64) bool {
	return name == file && size == offset
}

// fold gives up the follower's archives that the newest of the job supersedes.
func (r *binlogRun) fold(ctx context.Context) error {
	roll, err := r.s.Roll(ctx)
	if err != nil {
		return err
	}
	all, err := roll.Archives(ctx, r.s.Host, r.s.PassOver)
	if err != nil {
		return err
	}
	if err := retain.Mark(ctx, r.s.Repository, all, r.s.PassOver); err != nil {
		return err
	}
	mine := repo.Selection{Job: string(r.template.Job)}.Select(all)
	newest := repo.Latest(mine)
	var gone []retain.Decision
	for i := range mine {
		a := &mine[i]
		if _, ours := a.Labels[followed]; i < newest && ours && a.Forgotten.IsZero() && a.Displaces() {
			gone = append(gone, retain.Decision{Archive: a, Reasons: []string{"archive " + mine[newest].ID + " has all of it"}})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return retain.Forget(ctx, r.s.Repository, gone)
}
