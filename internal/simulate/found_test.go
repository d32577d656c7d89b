package simulate

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// What the simulation has found, and must not find again.
var found = map[string]func(s *stage){
	// An index object comes a month late, when no list says any more that what it names is gone. It does not stay for ever.
	"late index": func(s *stage) {
		s.a.line.before = once("put", "index/", 1, func() { s.daily(30) })
		if _, err := s.backUp(s.a, files{"old/1": text(0)}, nil); err == nil {
			s.fail(errors.New("the run did not fail"))
		}
		if err := s.p.quiet(0); err != nil {
			s.fail(err)
		}
	},
	// An archive goes, and what it needed, while a prune stands still that has listed it. It begins anew, and does not say that something is missing.
	"archive removed": func(s *stage) {
		a := s.save(s.a, files{"old/1": text(0)})
		s.save(s.a, files{"new/1": text(1)})
		s.forget(a)
		s.at(grace - hour)
		s.q.line.before = once("list", "index/", 1, func() {
			s.at(grace + hour)
			s.prune(s.p)
			s.at(grace + hour + ripe)
			s.prune(s.p)
		})
		s.prune(s.q)
	},
	// Two hosts have text 0, and the copy that was condemned goes, while a prune stands still that knows of that only.
	"copy dropped": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		must(s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.prune(s.p) }))
		s.at(hour)
		s.q.line.before = once("list", "content/", 1, func() {
			s.save(s.b, files{"old/1": text(0)})
			s.at(ripe)
			if s.prune(s.p).PacksRemoved == 0 {
				s.fail(errors.New("nothing was dropped"))
			}
		})
		s.prune(s.q)
	},
	// What is new in a file is a chunk that is there already, and is condemned before the run takes its next view.
	"literal": func(s *stage) {
		old, more := text(0)[:8<<10], text(1)[:size-8<<10]
		s.unneeded(files{"more/1": more}, files{"file/1": old})
		s.backUp(s.a, files{"file/1": slices.Concat(old, more), "z/1": text(2)}, func(folder string) {
			if folder == "file" {
				s.at(grace/2 - hour)
				s.prune(s.p)
				s.at(grace / 2)
				return
			}
			s.at(grace/2 - hour + ripe)
			s.prune(s.p)
		})
		if s.count.Deltas == 0 {
			s.fail(errors.New("no recipe was made"))
		}
	},
	// A run that is done may take more than half a minute for its last view.
	"last view": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.a.line.before = once("put", "metadata/", 2, func() {
			s.at(grace * 3 / 4)
			s.a.line.before = once("list", "condemned/", 1, func() { time.Sleep(minute) })
		})
		if _, err := s.backUp(s.a, files{"new/2": text(0)}, nil); err != nil {
			s.fail(err)
		}
	},
}

func TestFound(t *testing.T) {
	for name, scene := range found {
		t.Run(name, func(t *testing.T) {
			if err := act(t, scene); err != nil {
				t.Error(err)
			}
		})
	}
}
