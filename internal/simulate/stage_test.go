package simulate

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"nightjar/repo"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
)

// A stage is a world in which nothing happens by chance: two hosts that trust each other, two pruners, and calls that take no time.
type stage struct {
	*world
	a, b *host
	p, q *pruner
	noon time.Time
}

func newStage(log func(string, ...any)) *stage {
	w := newWorld(1, log)
	s := &stage{world: w, a: w.host(0, 1), b: w.host(1, 2), p: w.pruner(0, 3), q: w.pruner(1, 4), noon: time.Now()}
	s.a.packs, s.b.packs = true, true
	return s
}

// at waits until so long after noon.
func (s *stage) at(d time.Duration) { time.Sleep(time.Until(s.noon.Add(d))) }

// begin makes it noon.
func (s *stage) begin() { s.noon = time.Now() }

func text(n int) []byte { return theTexts()[n] }

// listed is large enough for a list.
func listed(n, m int) []byte { return slices.Concat(text(n), text(m)) }

// backUp saves files, in a new process; what happens on its line stays as it was set.
func (s *stage) backUp(h *host, f files, meanwhile func(folder string)) (*repo.Archive, error) {
	h.r, h.files = nil, f
	h.line.dead = false
	archive, err := h.backUp(meanwhile)
	s.logf("%s: backed up: %v", h.name, err)
	return archive, err
}

// save is backUp in good times.
func (s *stage) save(h *host, f files) *repo.Archive { return must(s.backUp(h, f, nil)) }

func (s *stage) forget(archives ...*repo.Archive) {
	var decisions []retain.Decision
	for _, a := range archives {
		decisions = append(decisions, retain.Decision{Archive: a, Reasons: []string{"simulated"}})
	}
	if err := retain.Forget(s.ctx, must(s.p.boot()), decisions); err != nil {
		panic(err)
	}
}

func (s *stage) prune(p *pruner) prune.Summary {
	p.line.dead = false
	done, err := p.prune(must(p.boot()))
	if err != nil && unexpected(err) {
		s.fail(err)
	}
	return done
}

// daily prunes each day.
func (s *stage) daily(days int) {
	for range days {
		time.Sleep(day)
		s.prune(s.p)
	}
}

// once returns a hook that calls f before the n-th call of that kind.
func once(op, name string, n int32, f func()) func(string, string) {
	var calls atomic.Int32
	return func(gotOp, gotName string) {
		if gotOp == op && strings.HasPrefix(gotName, name) && calls.Add(1) == n {
			f()
		}
	}
}

// unneeded makes an archive of files that was forgotten a grace period ago, beside one that stays: so the next prune condemns what only the first needs.
func (s *stage) unneeded(f, stays files) {
	a := s.save(s.a, f)
	time.Sleep(time.Hour)
	s.save(s.a, stays)
	s.forget(a)
	time.Sleep(grace + time.Hour)
	s.begin()
}

// slowPrune is two prunes at once, of which one sees that text 0 is still needed, and the other, which is slower, that it is not any more. It stands still
// before a call for so long that the list is gone that both went by, and a backup uses text 0 again.
func (s *stage) slowPrune(op, name string) {
	needed := s.needed()
	s.q.line.before = once("list", "archive/", 1, func() {
		s.noLonger(needed)
		s.q.line.before = once(op, name, 1, func() {
			s.at(2*ripe + hour)
			s.prune(s.p) // the list goes
			s.at(2*ripe + 2*hour)
			s.backUp(s.b, files{"old/1": text(0)}, nil)
		})
	})
	s.prune(s.q)
}

// needed brings it about that text 0 is condemned, and needed by an archive that is about to go, when the list is due.
func (s *stage) needed() *repo.Archive {
	s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
	a := must(s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.prune(s.p) }))
	s.at(ripe - grace + minute)
	s.forget(a)
	s.at(ripe)
	return a
}

// noLonger lets a prune take text 0 off the list, and another remove the archive that needed it, before it dies.
func (s *stage) noLonger(a *repo.Archive) {
	s.prune(s.p)
	s.at(ripe + 2*minute)
	s.p.line.before = once("put", "condemned/", 1, func() { s.p.line.die() })
	s.prune(s.p)
	s.p.line.before = nil
	if slices.Contains(s.names("archive/"), "archive/"+a.ID) {
		s.fail(errors.New("the archive is still there"))
	}
}
