package take

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// attempts tries until all calls have succeeded, if only throttling or a lost answer is in the way.
func (t *taker) attempts(ctx context.Context) error {
	for {
		t.result.Attempts++
		err := t.attempt(ctx)
		if err == nil && len(t.open) == 0 {
			return nil
		}
		var call *callError
		if !errors.As(err, &call) {
			return err
		}
		if call.lost {
			found, look := t.look(ctx)
			switch {
			case look != nil:
				return errors.Join(err, look)
			case found:
				t.weaken(t.least(), "an answer was lost, and the set was found when nothing stood still any more")
				t.locked = false
				return nil
			}
		}
		if !call.again() || t.result.Attempts >= t.o.Attempts {
			return err
		}
		if len(t.made) > 0 {
			t.weaken(snapshot.Apart, "it took several attempts")
			t.apart = true
		}
		if err := sleep(ctx, t.pause(call)); err != nil {
			return errors.Join(call, err)
		}
	}
}

// weaken has what was reached be no more than c. The first cause is kept.
func (t *taker) weaken(c snapshot.Consistency, why string) {
	if c.AtLeast(t.most()) {
		return // no more was asked for
	}
	if t.reached == "" || !c.AtLeast(t.reached) {
		t.reached, t.why = c, why
	}
}

// pause is how long to wait before another attempt: a volume can be taken only every 15 s.
func (t *taker) pause(call *callError) time.Duration {
	if cloud.Code(call) == rateExceeded {
		return 15 * time.Second
	}
	return t.o.Pause << t.result.Attempts
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// attempt has all stand still, makes the calls, and lets all go.
func (t *taker) attempt(ctx context.Context) (err error) {
	if t.o.Post != nil || t.o.Pre != nil {
		defer func() { err = t.post(ctx, err) }()
	}
	if t.o.Pre != nil {
		if err := t.o.Pre(ctx); err != nil {
			return fmt.Errorf("run the command before the snapshots: %w", err)
		}
	}
	if t.o.Now().Sub(t.warmed) > idle {
		if err := t.warm(ctx); err != nil {
			return err
		}
	}
	t.label.Position, t.locked = snapshot.Position{}, false
	free := true // nothing stands still
	if t.o.Freezer != nil {
		release, err := t.lock(ctx)
		if err != nil {
			return err
		}
		defer release()
		free = false
	}
	if t.o.Mounts != nil {
		release, err := t.freeze(ctx)
		if err != nil {
			return err
		}
		defer release()
		free = false
	}
	limit := time.Minute
	if !free {
		limit = t.o.Most * 2 / 3 // so that there is time to let go, and to ask whether all was held
	}
	calling, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := t.o.Now()
	defer func() { t.result.Called = t.o.Now().Sub(start) }()
	return t.calls(calling)
}

func (t *taker) post(ctx context.Context, err error) error {
	if t.o.Post == nil {
		return err
	}
	if after := t.o.Post(context.WithoutCancel(ctx)); after != nil {
		t.result.Problems = append(t.result.Problems, fmt.Errorf("run the command after the snapshots: %w", after))
	}
	return err
}

// unlocked is what is reached at most if the database does not stand still.
func (t *taker) unlocked() snapshot.Consistency {
	return weaker(t.most(), snapshot.FileSystem)
}

func weaker(a, b snapshot.Consistency) snapshot.Consistency {
	if a.AtLeast(b) {
		return b
	}
	return a
}

// lock has the database stand still. What it returns lets it go.
func (t *taker) lock(ctx context.Context) (release func(), err error) {
	position, err := t.o.Freezer.Freeze(ctx, t.o.Most)
	if err != nil {
		return func() {}, t.degrade(ctx, t.unlocked(), fmt.Errorf("have the database stand still: %w", err))
	}
	start := t.o.Now()
	t.label.Position, t.locked = position, true
	return func() {
		t.held(ctx) // when file systems go on again: what is asked may write to one
		err := t.o.Freezer.Thaw()
		t.result.Locked = t.o.Now().Sub(start)
		if err != nil {
			t.weaken(t.unlocked(), "the database was not locked to the end")
			t.locked = false
			t.result.Problems = append(t.result.Problems, fmt.Errorf("let the database go on: %w", err))
		}
	}, nil
}

// freeze has the file systems stand still. What it returns lets them go.
func (t *taker) freeze(ctx context.Context) (release func(), err error) {
	frozen, err := t.o.Mounts.Freeze(ctx, t.o.Most)
	if err != nil {
		return func() {}, t.degrade(ctx, t.least(), fmt.Errorf("freeze the file systems: %w", err))
	}
	return func() {
		err := frozen.Thaw()
		t.result.Frozen = frozen.Lasted()
		if err != nil {
			t.weaken(t.least(), "the file systems were not frozen to the end")
			t.result.Problems = append(t.result.Problems, fmt.Errorf("let the file systems go on: %w", err))
		}
	}, nil
}

// degrade returns the error of a part that failed, unless c suffices.
func (t *taker) degrade(ctx context.Context, c snapshot.Consistency, err error) error {
	if ctx.Err() != nil || !c.AtLeast(t.o.Require) {
		return err
	}
	t.weaken(c, err.Error())
	t.result.Problems = append(t.result.Problems, err)
	return nil
}

// held asks the database whether it stood still until now. File systems say so when they are let go.
func (t *taker) held(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.o.Most/3)
	defer cancel()
	if err := t.o.Freezer.Held(ctx); err != nil {
		t.weaken(t.unlocked(), "the database was not locked to the end")
		t.locked = false
		t.result.Problems = append(t.result.Problems, fmt.Errorf("ask whether the database stood still: %w", err))
	}
}
