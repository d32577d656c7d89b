package content

import (
	"errors"
	"sync"

	"nightjar/repo/save"
)

// ErrEnded says that the function which was given a Run has returned.
var ErrEnded = errors.New("the run has ended")

// savers are lent to whoever has something to save. The one that came back last goes first, so that what is saved in a
// row lies in a row.
type savers struct {
	mu    sync.Mutex
	back  sync.Cond // of mu
	all   int
	free  []*save.Saver
	ended bool
}

func newSavers(w *save.Writer, n int) (*savers, error) {
	s := &savers{all: n}
	s.back.L = &s.mu
	for range n {
		one, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		s.free = append(s.free, one)
	}
	return s, nil
}

// use lends f a Saver, when one is free.
func (s *savers) use(f func(*save.Saver) error) error {
	s.mu.Lock()
	for len(s.free) == 0 && !s.ended {
		s.back.Wait()
	}
	if s.ended {
		s.mu.Unlock()
		return ErrEnded
	}
	one := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.free = append(s.free, one)
		s.mu.Unlock()
		s.back.Broadcast()
	}()
	return f(one)
}

// end lends no more, and returns when all are back.
func (s *savers) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.back.Broadcast()
	for len(s.free) < s.all {
		s.back.Wait()
	}
}
