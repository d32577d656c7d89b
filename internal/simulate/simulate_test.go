// Package simulate tries backups beside prunes in a simulated world: the real writers, readers and prunes, on a store in memory, in a time that passes
// as fast as they can be played. It is why doc/format.md, section 9.1, may be believed.
//
// A schedule is drawn from a seed: one to twenty hosts with clocks that are wrong by up to a day, which save what they have several times in some weeks,
// and build on what others have saved, if they trust them; one or two pruners, which give archives up, predecessors of runs at work among them, and prune;
// sometimes a host that lies, lists of prune that are spoilt until a pruner ends them, and a store whose own clocks differ by minutes. Each call of the store takes seconds, or hours; whoever makes it may stand still for days
// before it, crash, be cut off, or have done more than it is told; a listing may or may not show what comes or goes meanwhile. Whenever prune has taken something away, and in the
// end, each archive that counts has to give back what was saved. When all are quiet, only what is needed may be left, and, when all archives are given up, nothing.
//
// All of a schedule runs in one bubble of testing/synctest, whose clock moves on when everybody waits. So who goes on is decided by how long calls
// take, which the seed decides: it gives the same schedule again, but for the order in which one prune lists and deletes packs. Within
// one backup the simulation does one thing at a time; what its goroutines do to each other is for the tests of package repo.
//
// Directed schedules show what each rule is for: left out, it loses something, or leaves something undone. The code has no switch for that: the table in
// without_test.go says how it would be without each rule, and those schedules run in a build of their own (go build -overlay) that is made of it so.
//
//	go test ./internal/simulate -run TestSchedules -schedules 10000
//	go test ./internal/simulate -run TestSchedules -seed 17 -v
//	go test ./internal/simulate -run TestRules/Stay -tell -v
package simulate

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// few schedules take some half a minute.
const few = 120

var (
	schedules = flag.Int("schedules", few, "how many schedules are tried")
	seed      = flag.Uint64("seed", 0, "try only the schedule of this seed, and say what happens")
	leftOut   = flag.String("without", "", "leave out these rules, with commas between, in all schedules")
	tell      = flag.Bool("tell", false, "say what happens in directed schedules")
)

func TestSchedules(t *testing.T) {
	if *leftOut != "" {
		if leavable(t, "-without", *leftOut, "-schedules", fmt.Sprint(*schedules), "-seed", fmt.Sprint(*seed)) {
			return
		}
		leave(strings.Split(*leftOut, ",")...)
		t.Cleanup(func() { leave() })
	}
	if *seed != 0 {
		if _, err := schedule(t, *seed, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	const parts = 4
	var mu sync.Mutex
	var sum tally
	t.Cleanup(func() {
		t.Logf("%+v", sum)
		if sum.Pruned < sum.Schedules/2 { // who deletes nothing loses nothing
			t.Errorf("packs were deleted in %d of %d schedules", sum.Pruned, sum.Schedules)
		}
	})
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for n := part + 1; n <= *schedules; n += parts {
				count, err := schedule(t, uint64(n), nil)
				mu.Lock()
				sum.add(count)
				mu.Unlock()
				if err != nil {
					t.Errorf("schedule %d: %v", n, err)
				}
			}
		})
	}
}

// schedule plays what the seed says.
func schedule(t *testing.T, seed uint64, log func(string, ...any)) (count tally, err error) {
	theCast()
	theTexts()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(seed, log)
		w.play()
		count, err = w.count, w.failed()
	})
	return count, err
}

func (w *world) play() {
	w.blurred = w.rng.IntN(2) == 0
	n, runs := 1+w.rng.IntN(4), 5+w.rng.IntN(8)
	if w.rng.IntN(20) == 0 {
		n, runs = hosts, 2
	}
	var all sync.WaitGroup
	first := w.rng.IntN(hosts) // in the second half of all they build on some of the others only
	for i := range n {
		h := w.host((first+i)%hosts, w.rng.Uint64())
		if w.rng.IntN(8) == 0 {
			h.keys = w.early
		}
		all.Go(func() { h.live(runs) })
	}
	end := time.Now().Add(time.Duration(runs) * 8 * day)
	rots := w.rng.IntN(4) == 0
	for i := range 1 + w.rng.IntN(pruners) {
		p := w.pruner(i, w.rng.Uint64())
		p.rots = rots
		all.Go(func() { p.live(end) })
	}
	if w.rng.IntN(5) == 0 {
		seed := w.rng.Uint64()
		all.Go(func() { w.lies(seed, 3) })
	}
	if rots {
		all.Go(func() { w.rots(end) })
	}
	all.Wait()
	w.count.Schedules++
	if w.count.Removed > 0 {
		w.count.Pruned++
	}
	w.check("the last run")
	time.Sleep(grace)
	last := w.pruner(0, w.rng.Uint64())
	for _, keep := range []int{1, 0} {
		if err := last.quiet(keep); err != nil {
			w.fail(err)
		}
		if err := w.whole(w.openAll()); err != nil {
			w.fail(fmt.Errorf("in the end: %w", err))
		}
	}
}
