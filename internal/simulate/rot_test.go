package simulate

import (
	"strings"
	"time"

	"nightjar/repo/maintain/prune"
	"nightjar/repo/store"
)

// rot spoils a list of prune that there is, and reports whether there was one.
func (w *world) rot(choose func(n int) int, kinds ...string) bool {
	var all []string
	for _, kind := range kinds {
		all = append(all, w.names(kind)...)
	}
	if len(all) == 0 {
		return false
	}
	name := all[choose(len(all))]
	if err := w.store.Delete(w.ctx, name); err != nil {
		panic(err)
	}
	must(w.store.Put(w.ctx, name, []byte("what is left of "+name)))
	w.logf("%.30s is spoilt", name)
	w.tell(&w.count.Rotten)
	return true
}

// rots spoils a list now and then.
func (w *world) rots(until time.Time) {
	for {
		time.Sleep(time.Duration(w.clockDraw(int64(20 * day))))
		if time.Now().After(until) {
			return
		}
		w.rot(func(n int) int { return int(w.clockDraw(int64(n))) }, "condemned/", "dropped/")
	}
}

// clockDraw draws a number from what all share.
func (w *world) clockDraw(n int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock.Int64N(n)
}

// end has lists that nobody can read stop nobody any more.
func (p *pruner) end() error {
	r, err := p.boot()
	if err != nil {
		return err
	}
	defer r.Close()
	ended, err := prune.EndUnread(p.ctx, r, prune.Options{Problem: p.warn(p.name)})
	if len(ended) > 0 || err != nil {
		p.logf("%s: ended %d lists: %v", p.name, len(ended), err)
	}
	return err
}

// ends is a call of end that is part of a scene.
func (s *stage) ends() {
	if err := s.p.end(); err != nil {
		s.fail(err)
	}
}

// spoil spoils the one list there is of a kind.
func (s *stage) spoil(kind string) {
	if !s.rot(func(n int) int { return n - 1 }, kind) {
		panic("there is no list")
	}
	if err := s.unread(); err == nil {
		panic("it can be read")
	}
}

// unread returns why a backup would not begin.
func (s *stage) unread() error {
	_, err := s.backUp(s.a, files{"etc/none": []byte("nothing")}, nil)
	if err != nil && !strings.Contains(err.Error(), "a list of prune cannot be read") {
		s.fail(err)
	}
	return err
}

// spoilt lets a slow prune drop text 0 by a list that nobody else can read any more.
func (s *stage) spoilt() {
	s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
	s.prune(s.p)
	s.at(ripe)
	s.q.line.before = once("put", "dropped/", 1, func() {
		s.spoil("condemned/")
		s.ends()
		s.backUp(s.b, files{"old/1": text(0)}, nil)
	})
	s.prune(s.q)
}

// condemnedList returns what puts the one list back as it is.
func (s *stage) condemnedList() func() {
	name := s.names("condemned/")[0]
	info := must(s.store.Stat(s.ctx, name))
	was := must(store.ReadAll(s.ctx, s.store, name, 0))
	return func() {
		if err := s.store.Delete(s.ctx, name); err != nil {
			panic(err)
		}
		now := time.Now()
		s.ahead = info.Time.Sub(now)
		must(s.store.Put(s.ctx, name, was))
		s.ahead = 0
	}
}
