package save

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/chunk"
)

var (
	errWriter   = errors.New("the writer failed")
	errFunction = errors.New("the function failed")
	errCaller   = errors.New("the caller had enough")
)

// stopped waits for the end of a context, and returns when that came and why.
func stopped(ctx context.Context) (after time.Duration, why error) {
	begin := time.Now()
	<-ctx.Done()
	return time.Since(begin), context.Cause(ctx)
}

func TestCallerCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := newRun(ctx)
		defer r.end()
		time.AfterFunc(time.Hour, func() { cancel(errCaller) })
		err := r.do(func(ctx context.Context) error {
			if after, why := stopped(ctx); after != time.Hour || why != errCaller {
				t.Errorf("the function is stopped after %v: %v", after, why)
			}
			return errFunction
		})
		if err != errFunction || r.failed() != nil {
			t.Errorf("the function returned %v, the writer has failed: %v", err, r.failed())
		}
		if after, why := stopped(r.work); after != dyingTime || why != errCaller {
			t.Errorf("what is in flight is stopped after %v: %v", after, why)
		}
	})
}

func TestWriterFails(t *testing.T) {
	for _, returned := range []error{nil, errFunction, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			r := newRun(t.Context())
			defer r.end()
			err := r.do(func(ctx context.Context) error {
				r.fail(errWriter)
				if after, why := stopped(ctx); after != 0 || why != errWriter {
					t.Errorf("the function is stopped after %v: %v", after, why)
				}
				return returned
			})
			if err != errWriter || r.failed() != errWriter {
				t.Errorf("the error is %v, the writer's %v", err, r.failed())
			}
			ctx, cancel := r.last()
			defer cancel()
			if after, _ := stopped(ctx); after != dyingTime {
				t.Errorf("what was sent has to be indexed within %v", after)
			}
		})
	}
}

func TestFunctionFails(t *testing.T) {
	r := newRun(t.Context())
	var inner context.Context
	if err := r.do(func(ctx context.Context) error { inner = ctx; return errFunction }); err != errFunction {
		t.Error(err)
	}
	if inner.Err() == nil || r.failed() != nil {
		t.Errorf("the function's context: %v; the writer's: %v", inner.Err(), r.failed())
	}
	r.end()
	if r.failed() != context.Canceled {
		t.Errorf("after the end: %v", r.failed())
	}
}

func TestClaims(t *testing.T) {
	for name, c := range map[string]struct {
		before []bool // takes, as itself or not
		whole  bool
		want   bool
	}{
		"new":                        {nil, false, true},
		"new, as itself":             {nil, true, true},
		"taken":                      {[]bool{false}, false, false},
		"taken, then as itself":      {[]bool{false}, true, true},
		"taken as itself":            {[]bool{true}, false, false},
		"taken as itself twice":      {[]bool{true}, true, false},
		"taken, and then as itself":  {[]bool{false, true}, false, false},
		"taken by all, as itself":    {[]bool{false, false, true}, true, false},
		"as itself is not forgotten": {[]bool{true, false}, true, false},
	} {
		claims := claims{all: map[chunk.Key]bool{}}
		for _, whole := range c.before {
			claims.take(chunk.Key{1}, whole)
		}
		if got := claims.take(chunk.Key{1}, c.whole); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if !claims.has(chunk.Key{1}) || claims.has(chunk.Key{2}) {
			t.Errorf("%s: it has %v", name, claims.all)
		}
	}
}
