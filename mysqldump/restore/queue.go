package restore

import "sync"

// A queue has jobs, and knows when there will be no more.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	jobs    []job
	busy    int // jobs that are being done, after which there may be more
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
	for len(q.jobs) == 0 && q.busy > 0 && !q.stopped {
		q.changed.Wait()
	}
	if len(q.jobs) == 0 || q.stopped {
		return job{}, false
	}
	j := q.jobs[0]
	q.jobs = q.jobs[1:]
	q.busy++
	return j, true
}

// done ends a job, after which more are to be done at once.
func (q *queue) done(more []job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.jobs = append(more, q.jobs...)
	q.changed.Broadcast()
}

// stop ends the queue.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.changed.Broadcast()
}
