package simulate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/repo"
)

const (
	hour   = time.Hour
	minute = time.Minute
)

// Of each rule a schedule in which nothing is lost as long as all rules hold, and something is, or nothing gets done, when this one is left out.
// Each begins at noon of its first day; p and q are pruners, a and b hosts.
var scenes = map[string]func(s *stage){
	// What a condemns in its last hour, and would find gone when it is done.
	"Avoid": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		s.at(grace)
		s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.at(ripe); s.prune(s.p) })
	},
	// A run takes its second view when text 0 has just been condemned, and uses it then.
	"AvoidLater": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.backUp(s.a, files{"a/1": text(1), "old/1": text(0)}, func(folder string) {
			if folder == "a" {
				s.at(grace / 2)
				s.prune(s.p)
				s.at(grace/2 + hour)
				return
			}
			s.at(grace/2 + ripe)
			s.prune(s.p)
			s.at(grace/2 + grace + 50*minute)
		})
	},
	// Between the listings of condemned and dropped lists, one becomes the other.
	"CondemnedFirst": func(s *stage) {
		s.unneeded(files{"new/1": text(1), "old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		s.at(ripe)
		s.a.line.before = once("list", "condemned/", 1, func() { s.prune(s.p) })
		s.backUp(s.a, files{"old/1": text(0)}, nil)
	},
	// The index object goes, and then the dropped list, since no index object names what is in it: a prune that died has left that for two others.
	"ListsFirst": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		s.at(ripe)
		s.p.line.before = once("delete", "index/", 1, func() { s.p.line.die() })
		s.prune(s.p)
		s.p.line.before = nil
		s.at(3 * grace)
		s.a.line.before = once("list", "condemned/", 1, func() { s.prune(s.p); s.prune(s.p) })
		s.backUp(s.a, files{"old/1": text(0)}, nil)
	},
	// The second pruner is in keys that a has not seen.
	"Unread": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.q)
		s.at(grace)
		s.a.keys = s.early
		s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.at(ripe); s.prune(s.q) })
	},
	"UnreadLater": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.a.keys = s.early
		s.backUp(s.a, files{"old/1": text(0), "z/1": text(1)}, func(folder string) {
			if folder == "old" {
				s.at(grace/2 - hour)
				s.prune(s.q)
				s.at(grace / 2)
				return
			}
			s.at(grace/2 - hour + ripe)
			s.prune(s.q)
		})
	},
	// A run may take as long as it needs.
	"Renewal": func(s *stage) { s.long(20, true) },
	// Text 0 is condemned after the first view of a run that uses it, and dropped after it might have had to be done.
	"VerifyReferences": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.backUp(s.a, files{"old/1": text(0), "z/1": text(1)}, func(folder string) {
			if folder == "old" {
				s.at(grace/2 - hour)
				s.prune(s.p)
				s.at(grace / 2)
				return
			}
			s.at(grace/2 - hour + ripe)
			s.prune(s.p)
		})
	},
	// A tree that no index object names yet is condemned when the run's sign of life is a week late.
	"VerifySent": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.begin()
		var condemned time.Duration
		s.a.line.before = once("put", "index/", 1, func() {
			s.at(grace + hour)
			if s.prune(s.p).PacksCondemned == 0 {
				s.fail(errors.New("nothing is condemned"))
			}
			condemned = time.Since(s.noon)
			s.at(grace + 2*hour)
		})
		s.backUp(s.a, files{"b/b": text(0), "c/c": text(0), "d/d": text(0)}, func(folder string) {
			switch folder {
			case "b":
				s.at(grace / 2)
			case "c":
				s.at(condemned + ripe)
				s.prune(s.p)
			}
		})
	},
	// A run sleeps for a month. The pack that it had sent, and not indexed, has been condemned, dropped and forgotten.
	"Expiry": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.backUp(s.a, files{"b/b": text(0), "c/c": text(0)}, func(folder string) {
			if folder == "b" {
				s.daily(30)
			}
		})
	},
	"SignOfLife": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.long(16, false)
	},
	// As with Expiry, but the run sleeps when it writes the index object, and another host believes that.
	"LateIndex": func(s *stage) {
		s.a.line.before = once("put", "index/", 1, func() { s.daily(30) })
		s.backUp(s.a, files{"old/1": text(0)}, nil)
		s.backUp(s.b, files{"old/1": text(0)}, nil)
	},
	"Rewrite": func(s *stage) {
		s.a.line.before = once("put", "index/", 1, func() { time.Sleep(hour) })
		s.backUp(s.a, files{"old/1": text(0)}, nil)
		s.prune(s.p)
	},
	// A run sleeps when it writes its archive.
	"Late": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.a.line.before = once("put", "archive/", 1, func() {
			s.prune(s.p)
			s.at(ripe)
			s.prune(s.p)
		})
		s.backUp(s.a, files{"old/1": text(0)}, nil)
	},
	// Whoever forgets the wrong archive has a week to find out.
	"Forget": func(s *stage) {
		s.forget(s.save(s.a, files{"old/1": text(0)}))
		s.at(hour)
		s.prune(s.p)
	},
	// A liar says that it has what a had, and another, who builds on nobody, really has it.
	"Trust": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		if err := s.lie(1); err != nil {
			panic(err)
		}
		s.b = s.host(loner, 2)
		s.b.packs = true
		s.save(s.b, files{"old/1": text(0)})
		for n := range time.Duration(3) {
			s.at((n + 1) * ripe)
			s.prune(s.p)
		}
	},
	// New content is sent for weeks, and condemned as soon as it is there.
	"Runs": func(s *stage) { s.long(16, true) },
	// The same with trees, which are in no index object until the run is done.
	"Orphans": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.long(10, false)
	},
	// A list that nothing needs stays, with its pack. So what it leans on would stay as well.
	"Leaners": func(s *stage) {
		s.leaning(true)
		condemned := s.prune(s.p).PacksCondemned
		s.at(ripe)
		if removed := s.prune(s.p).PacksRemoved; removed != condemned {
			s.fail(fmt.Errorf("%d packs of %d are gone", removed, condemned))
		}
	},
	"Grace": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.backUp(s.a, files{"old/1": text(0)}, func(string) {
			s.prune(s.p)
			s.at(hour)
			s.prune(s.p)
		})
	},
	// The store's clocks differ by minutes.
	"Slack": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.ahead = blur
		s.backUp(s.a, files{"old/1": text(0)}, func(string) {
			s.at(time.Second)
			s.ahead = -blur
			s.prune(s.p)
			s.at(grace - 3*minute)
			s.ahead = blur
			s.prune(s.p)
			s.at(grace - 2*minute)
			s.ahead = 0
		})
	},
	"Reprieve": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.prune(s.p) })
		s.at(ripe)
		s.prune(s.p)
	},
	// A run dies before its archive. Its list leans on what was condemned while it was at work.
	"Bases": func(s *stage) {
		s.unneeded(files{"old/1": text(0), "old/2": text(1)}, files{"new/1": text(2)})
		s.a.line.before = once("put", "archive/", 1, func() { s.a.line.die() })
		s.backUp(s.a, files{"list/1": listed(0, 1)}, func(string) {
			s.prune(s.p)
			s.at(2 * hour)
		})
		s.a.line.before = nil
		s.at(3*hour + ripe)
		s.backUp(s.a, files{"list/1": listed(0, 1)}, func(string) { s.prune(s.p) })
	},
	// What was condemned and stored anew goes all the same.
	"Elsewhere": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		condemned := s.prune(s.p).PacksCondemned
		s.save(s.a, files{"old/1": text(0)})
		s.at(ripe)
		if removed := s.prune(s.p).PacksRemoved; removed != condemned {
			s.fail(fmt.Errorf("%d packs of %d are gone", removed, condemned))
		}
	},
	// A pack is kept for one of its lists. The other leans on what is gone.
	"Left": func(s *stage) {
		s.leaning(false)
		s.backUp(s.a, files{"list/2": listed(2, 2)}, func(string) { s.prune(s.p) })
		s.at(ripe)
		s.prune(s.p)
		s.at(ripe + grace + hour)
		s.prune(s.p)
		s.backUp(s.b, files{"list/1": listed(0, 1)}, nil)
	},
	// A list is spoilt that has condemned what a backup uses then. A prune that had read it before is about to drop that.
	"Unnamed": func(s *stage) { s.spoilt() },
	// A list that was ended is whole again, as it always was for who knows the newest keys. By then nothing that counts needs what a backup uses.
	"Unripe": func(s *stage) {
		s.unneeded(files{"old/1": text(0)}, files{"new/1": text(1)})
		a := must(s.backUp(s.a, files{"old/1": text(0)}, func(string) { s.prune(s.p) }))
		s.at(hour)
		whole := s.condemnedList()
		s.spoil("condemned/")
		s.ends()
		s.at(2 * hour)
		s.forget(a)
		s.at(3 * hour)
		s.backUp(s.b, files{"old/1": text(0)}, func(string) {
			s.at(grace + 150*minute)
			whole()
			s.prune(s.q)
		})
	},
	// Of two prunes one is in time to see the archive that needs text 0. The other removes that archive, and drops text 0.
	"Stay": func(s *stage) {
		s.needed()
		s.p.line.before = once("put", "dropped/", 1, func() {
			s.at(ripe + 2*minute)
			s.q.line.before = once("put", "dropped/", 1, func() { s.at(ripe + 10*minute) })
			go s.prune(s.q)
			s.at(ripe + 5*minute)
		})
		s.prune(s.p)
		s.at(ripe + 6*minute)
		s.backUp(s.b, files{"old/1": text(0)}, func(string) { s.at(ripe + hour) })
	},
	"DroppedFirst": func(s *stage) { s.slowPrune("delete", "content/") },
	"Void":         func(s *stage) { s.slowPrune("put", "dropped/") },
	"CondemnedEnd": func(s *stage) {
		s.unneeded(files{"new/1": text(1), "old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		s.at(ripe)
		s.p.line.before = once("put", "dropped/", 1, func() { s.backUp(s.a, files{"old/1": text(0)}, nil) })
		s.prune(s.p)
	},
	"KeepDropped": func(s *stage) {
		s.unneeded(files{"new/1": text(1), "old/1": text(0)}, files{"new/1": text(1)})
		s.prune(s.p)
		s.at(ripe)
		s.prune(s.p)
		s.at(ripe + grace + hour)
		s.prune(s.p)
		s.backUp(s.a, files{"old/1": text(0)}, nil)
	},
	// A host merges its index objects while a prune drops what one of them names, and all that says so.
	"KeepDroppedGrace": func(s *stage) { s.merging(ripe) },
	"MergeSoon":        func(s *stage) { s.merging(3 * ripe) },
	"KeepIndex": func(s *stage) {
		s.save(s.a, files{"old/1": text(0)})
		s.long(16, false)
	},
}

// long is a run of so many days beside daily prunes, which has to come to its end. It stores each folder's tree when it is done with that.
func (s *stage) long(days int, sends bool) {
	f := files{}
	for i := range days {
		f[fmt.Sprintf("%02d/%d", i, i)] = text(0)
		if sends {
			f[fmt.Sprintf("%02d/%d", i, i)] = fmt.Appendf(text(0), "number %d", i)
		}
	}
	if _, err := s.backUp(s.a, f, func(string) { s.daily(1) }); err != nil {
		s.fail(fmt.Errorf("a long run: %w", err))
	}
}

// leaning makes a list that b knows, and that leans on texts that nothing needs. The pack of the list stays, or not.
func (s *stage) leaning(stays bool) {
	first := s.save(s.b, files{"plain/1": text(0), "plain/2": text(1)})
	second := s.save(s.b, files{"list/1": listed(0, 1), "list/2": listed(2, 2)})
	was, grown := s.b.was, s.b.grown
	last := files{"new/1": []byte("new")}
	if stays {
		last = files{"list/2": listed(2, 2)}
	}
	s.save(s.b, last)
	s.b.was, s.b.grown = was, grown
	s.forget(first, second)
	time.Sleep(grace + hour)
	s.begin()
}

// tries is how often a scene is played without a rule, before that counts as harmless: of several places of a chunk, random ids decide which comes first.
const tries = 20

func TestRules(t *testing.T) {
	if leavable(t, fmt.Sprintf("-tell=%v", *tell)) {
		return
	}
	known := map[string]bool{}
	for _, w := range without {
		known[w.rule] = true
	}
	for name := range scenes {
		if !known[name] {
			t.Errorf("there is no rule %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		t.Run(name, func(t *testing.T) {
			scene := scenes[name]
			if scene == nil {
				t.Fatal("there is no schedule that shows what the rule is for")
			}
			leave()
			if err := act(t, scene); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			leave(name)
			defer leave()
			for range tries {
				if err := act(t, scene); err != nil {
					t.Logf("%.600v", err)
					return
				}
			}
			t.Errorf("without it nothing fails")
		})
	}
}

// act plays a scene and looks whether anything was lost.
func act(t *testing.T, scene func(*stage)) (err error) {
	theCast()
	theTexts()
	var log func(string, ...any)
	if *tell {
		log = t.Logf
	}
	synctest.Test(t, func(*testing.T) {
		s := newStage(log)
		scene(s)
		s.check("all")
		err = s.failed()
	})
	return err
}

// merging is a backup that stands still so long when it has read the index objects that it merges.
func (s *stage) merging(still time.Duration) {
	var all []*repo.Archive
	for i := range 20 {
		all = append(all, s.save(s.a, files{"old/1": fmt.Appendf(text(0), "number %d", i)}))
		time.Sleep(hour)
	}
	s.save(s.a, files{"new/1": text(1)})
	s.forget(all...)
	time.Sleep(grace + hour)
	s.begin()
	s.prune(s.p)
	s.at(ripe - minute)
	s.a.line.before = once("put", "index/", 2, func() {
		s.at(ripe)
		s.prune(s.p)
		s.at(still)
		s.prune(s.p)
		s.prune(s.p)
	})
	s.backUp(s.a, files{"new/2": text(2)}, nil)
	s.backUp(s.b, files{"old/1": fmt.Appendf(text(0), "number %d", 1)}, nil)
}
