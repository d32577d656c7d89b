package dump

import (
	"context"
	"sync"
)

// A task is what a worker does next.
type task struct {
	tables      []*table // more than one: small ones, each as a whole
	plan        bool     // find the ranges of the one table
	part        bool     // one range of the one table
	from, until bound    // of the range
	number      int      // of its file
}

// A queue hands out tasks until there are none and nobody who works on one could add more.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	tasks   []task
	busy    int
}

func newQueue() *queue {
	q := &queue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// add appends tasks.
func (q *queue) add(tasks ...task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, tasks...)
	q.changed.Broadcast()
}

// first puts a task before all others.
func (q *queue) first(t task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append([]task{t}, q.tasks...)
	q.changed.Broadcast()
}

// next takes a task, for which done is to be called. idle is called before there is a wait. ok is false at the end, and when ctx
// ends.
func (q *queue) next(ctx context.Context, idle func() error) (t task, ok bool, err error) {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for told := false; ctx.Err() == nil; {
		if len(q.tasks) > 0 {
			t, q.tasks = q.tasks[0], q.tasks[1:]
			q.busy++
			return t, true, nil
		}
		if !told {
			q.mu.Unlock()
			err := idle()
			q.mu.Lock()
			if err != nil {
				return task{}, false, err
			}
			told = true
			continue
		}
		if q.busy == 0 {
			return task{}, false, nil
		}
		q.changed.Wait()
	}
	return task{}, false, context.Cause(ctx)
}

// done ends a task.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.changed.Broadcast()
}
