// Package queue hands out tasks to workers of which each may find more to do.
//
// The invariant: a worker is told that there is nothing left only when no other could add a task any more.
package queue

import (
	"context"
	"slices"
	"sync"
)

// A Queue hands out tasks until there are none and nobody who works on one could add more.
type Queue[T any] struct {
	mu      sync.Mutex
	changed *sync.Cond
	tasks   []T
	busy    int
}

// New returns a queue of these tasks.
func New[T any](tasks ...T) *Queue[T] {
	q := &Queue[T]{tasks: tasks}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// Add puts tasks after all others.
func (q *Queue[T]) Add(tasks ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, tasks...)
	q.changed.Broadcast()
}

// First puts tasks before all others.
func (q *Queue[T]) First(tasks ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = slices.Concat(tasks, q.tasks)
	q.changed.Broadcast()
}

// Next takes a task, for which Done is to be called. idle is called before there is a wait; nil: nothing is. ok is false at the end, and
// when ctx ends.
func (q *Queue[T]) Next(ctx context.Context, idle func() error) (task T, ok bool, err error) {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for told := idle == nil; ctx.Err() == nil; {
		if len(q.tasks) > 0 {
			task, q.tasks = q.tasks[0], q.tasks[1:]
			q.busy++
			return task, true, nil
		}
		if !told {
			q.mu.Unlock()
			err := idle()
			q.mu.Lock()
			if err != nil {
				return task, false, err
			}
			told = true
			continue
		}
		if q.busy == 0 {
			return task, false, nil
		}
		q.changed.Wait()
	}
	return task, false, context.Cause(ctx)
}

// Done ends a task. What it leads to is to be added before.
func (q *Queue[T]) Done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.changed.Broadcast()
}
