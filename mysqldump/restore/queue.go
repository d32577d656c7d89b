package restore

import "sync"

// A queue has jobs, and knows when there will be no more.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	jobs    []job
	last    []job // those to do when nothing is to be loaded
	busy    int   // jobs that are being done, after which there may be more
	stopped bool
}

func newQueue() *queue {
	q := &queue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// next returns the next job, once there is one; false if there will be none. done is to be called after it.
func (q *queue) next() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs)+len(q.last) == 0 && q.busy > 0 && !q.stopped {
		q.changed.Wait()
	}
	if len(q.jobs)+len(q.last) == 0 || q.stopped {
		return job{}, false
	}
	from := &q.jobs
	if len(q.jobs) == 0 {
		from = &q.last
	}
	j := (*from)[0]
	*from = (*from)[1:]
	q.busy++
	return j, true
}

// done ends a job, after which more are to be done: at once, if rows are to be loaded.
func (q *queue) done(more []job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if len(more) > 0 && more[0].sums {
		q.last = append(q.last, more...)
	} else {
		q.jobs = append(more, q.jobs...)
	}
	q.changed.Broadcast()
}

// stop ends the queue.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.changed.Broadcast()
}
