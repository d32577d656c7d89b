package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOrder(t *testing.T) {
	q := New(3)
	q.Add(4)
	q.First(1, 2)
	var got []int
	for {
		n, ok, err := q.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, n)
		q.Done()
	}
	if !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("in the order %v", got)
	}
}

// Workers wait for each other: a task may lead to more.
func TestMore(t *testing.T) {
	q := New(10)
	var all sync.WaitGroup
	var done atomic.Int64
	for range 4 {
		all.Go(func() {
			for {
				n, ok, err := q.Next(t.Context(), nil)
				if err != nil {
					t.Error(err)
				}
				if !ok {
					return
				}
				for range min(n, 2) {
					q.Add(n - 1)
				}
				done.Add(1)
				q.Done()
			}
		})
	}
	all.Wait()
	if n := done.Load(); n != 3<<9-1 {
		t.Errorf("%d tasks were done", n)
	}
}

// Who waits is woken when the context ends, and is not left waiting when somebody cannot be idle.
func TestEnds(t *testing.T) {
	q := New(1)
	if _, ok, err := q.Next(t.Context(), nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	idle := 0
	_, ok, err := q.Next(ctx, func() error { idle++; cancel(why); return nil })
	if ok || !errors.Is(err, why) || idle != 1 {
		t.Errorf("ended: %v, %v, idle %d times", ok, err, idle)
	}
	if _, ok, err := q.Next(t.Context(), func() error { return why }); ok || !errors.Is(err, why) {
		t.Errorf("could not be idle: %v, %v", ok, err)
	}
}
