package ec2test

import (
	"time"
)

// A Fault is what goes wrong with some calls.
type Fault struct {
	Operation string // empty: all
	Region    string // empty: all
	Nth       int    // the first such call that is hit, from now on; 0: the next
	Times     int    // how many are hit; 0: one; negative: all from there on
	Code      string // that is answered instead; empty: no refusal
	Message   string
	Status    int           // of HTTP; 0: that of the code
	Done      bool          // the call is made, although Code is answered
	Lost      bool          // the call is made, but the connection breaks instead of the answer
	Delay     time.Duration // before the call is made
	Late      time.Duration // between what the call does and its answer
}

type fault struct {
	Fault
	seen, hit int
}

// Fault has something go wrong. Of several that fit a call the first is taken.
func (s *Server) Fault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Nth, f.Times = max(f.Nth, 1), times(f.Times)
	s.faults = append(s.faults, &fault{Fault: f})
}

// Watch has a function be told of each call before it is made, with nothing locked; nil: none.
func (s *Server) Watch(f func(Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onCall = f
}

func (s *Server) watcher() func(Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onCall
}

func times(n int) int {
	if n == 0 {
		return 1
	}
	return n
}

// Mend takes all faults back.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// strikes counts a call, and returns what goes wrong with it. DryRun calls are never hit.
func (s *Server) strikes(call Call) (struck Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, f := range s.faults {
		if call.DryRun || f.Operation != "" && f.Operation != call.Operation || f.Region != "" && f.Region != call.Region {
			continue
		}
		f.seen++
		if !found && f.seen >= f.Nth && (f.Times < 0 || f.hit < f.Times) {
			f.hit++
			struck, found = f.Fault, true
		}
	}
	return struck
}
