package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/servertest"
)

// An exclusion keeps out whoever would take snapshots, and another exclusion, until it is closed or its session is killed.
func TestExclude(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		srv := open(t, s)
		for _, directory := range []string{"", t.TempDir()} {
			e, err := lock.Exclude(t.Context(), srv, directory, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lock.Take(t.Context(), srv, lock.Options{Directory: directory}); !errors.Is(err, lock.ErrBusy) {
				t.Errorf("snapshots beside an exclusion: %v", err)
			}
			if _, err := lock.Exclude(t.Context(), srv, directory, 0); !errors.Is(err, lock.ErrBusy) {
				t.Errorf("an exclusion beside another: %v", err)
			}
			if err := errors.Join(e.Close(), e.Close()); err != nil {
				t.Error(err)
			}
			h, err := lock.Take(t.Context(), srv, lock.Options{Directory: directory})
			if err != nil {
				t.Fatalf("after the exclusion: %v", err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		e, err := lock.Exclude(t.Context(), srv, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		ctx, cancel := e.Context(t.Context())
		defer cancel()
		c := connect(t, srv)
		if err := c.Exec(t.Context(), fmt.Sprintf("KILL %d", number(t, c, "SELECT IS_USED_LOCK('nightjar.backup')"))); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("an exclusion that is lost says %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Error("nobody said that the exclusion is lost")
		}
	})
}
