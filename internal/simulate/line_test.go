package simulate

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

var (
	errCrashed = fmt.Errorf("the host has crashed: %w", store.ErrUnavailable)
	errLost    = fmt.Errorf("the connection was lost: %w", store.ErrUnavailable)
)

// An actor is a host with a process that works on the repository.
type actor struct {
	*world
	name string
	key  *crypto.Key
	keys *keyring.Keyring // as far as it knows
	rng  *rand.Rand
	skew time.Duration // of its clock
	line *line         // of the process that runs now
}

func (w *world) actor(name string, key *crypto.Key, seed uint64) *actor {
	rng := rand.New(rand.NewPCG(seed, 1))
	a := &actor{world: w, name: name, key: key, keys: w.cast.keys, rng: rng, skew: time.Duration(rng.Int64N(int64(2*day))) - day, line: new(line)}
	a.line.actor = a
	return a
}

// boot starts a process, with a cache that is empty.
func (a *actor) boot() (*repo.Repository, error) {
	r, err := repo.Open(a.ctx, a.line, a.keys, keyring.Held(a.key), repo.Options{
		Connections: 1, Random: random{a.rng}, Now: func() time.Time { return time.Now().Add(a.skew) }, Warn: a.warn(a.name),
	})
	if err == nil {
		err = r.SetHost(a.key)
	}
	return r, err
}

// A line is a process's way to the store, and what happens to it there. Each call takes time before the store does what it is asked, and until the
// answer is there: this alone decides who goes on when.
type line struct {
	*actor
	pace time.Duration // one call in five takes about this, the others seconds. 0: none takes any time
	call int           // how many there were
	dead bool          // the host has crashed: whatever still runs of the process reaches nothing

	crash  int           // at this call the host crashes; 0: never
	pause  int           // before this one it stands still,
	tender string        // or before one that begins so,
	still  time.Duration // for so long
	noise  float64       // the chance that a request or an answer is lost

	// A directed schedule decides by itself what happens before a call is made.
	before func(op, name string)
}

var (
	_ store.Store = (*line)(nil)
	_ store.Clock = (*line)(nil)
)

// A step is what becomes of one call.
type step struct {
	crash   bool
	arrives bool          // though the host crashes, what was asked is done
	still   time.Duration // before it
	there   time.Duration // until it is done, and
	back    time.Duration // until the answer has come
	lost    bool          // the answer
	never   bool          // and the request, too
}

// next draws a step. A prune deletes several packs at once.
func (l *line) next(op, name string) (s step, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return s, errCrashed
	}
	l.call++
	l.count.Steps++
	if s.crash = l.call == l.crash; s.crash {
		l.dead, s.arrives = true, (op == "put" || op == "delete") && l.rng.IntN(2) == 0
		l.count.Crashes++
	}
	if l.call == l.pause || l.tender != "" && strings.HasPrefix(op+" "+name, l.tender) && l.rng.IntN(2) == 0 {
		l.tender, s.still = "", l.still
	}
	if s.lost = l.noise > 0 && l.rng.Float64() < l.noise; s.lost {
		s.never = l.rng.IntN(2) == 0
		l.count.Lost++
	}
	s.there, s.back = l.wait(), l.wait()
	return s, nil
}

func (l *line) wait() time.Duration {
	mean := time.Second
	switch {
	case l.pace == 0:
		return 0
	case l.rng.IntN(5) == 0:
		mean = l.pace
	}
	return time.Duration(l.rng.ExpFloat64() * float64(mean))
}

// die lets the host crash.
func (l *line) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

func (l *line) died() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// do is one step of an actor. Contexts end nothing here: who stands still does not look at them.
func (l *line) do(op, name string, deed func() error) error {
	s, err := l.next(op, name)
	if err != nil {
		return err
	}
	if s.crash {
		l.logf("%s crashes at %s %s", l.name, op, name)
		if s.arrives {
			go func() {
				time.Sleep(s.there)
				_ = deed()
			}()
		}
		return errCrashed
	}
	if s.still > 0 {
		l.logf("%s stands still for %v at %s %s", l.name, s.still, op, name)
		time.Sleep(s.still)
	}
	if l.before != nil {
		if l.before(op, name); l.died() {
			return errCrashed
		}
	}
	time.Sleep(s.there)
	if s.never {
		return errLost
	}
	err = deed()
	if op == "put" || op == "delete" {
		l.logf("%s: %s %.30s %v", l.name, op, name, err)
	}
	time.Sleep(s.back)
	if s.lost && err == nil {
		return errLost
	}
	return err
}

func (l *line) Put(_ context.Context, name string, data []byte) (store.Info, error) {
	var info store.Info
	w, data := l.world, bytes.Clone(data) // which may arrive when whoever sent it is gone
	if err := l.do("put", name, func() (err error) { info, err = w.store.Put(w.ctx, name, data); return err }); err != nil {
		return store.Info{}, err
	}
	return info, nil
}

func (l *line) Stat(_ context.Context, name string) (info store.Info, err error) {
	err = l.do("stat", name, func() (err error) { info, err = l.store.Stat(l.ctx, name); return err })
	return info, err
}

func (l *line) GetInto(_ context.Context, name string, offset int64, buf []byte) error {
	return l.do("get", name, func() error { return l.store.GetInto(l.ctx, name, offset, buf) })
}

func (l *line) Delete(_ context.Context, name string) error {
	w := l.world
	return l.do("delete", name, func() error { return w.store.Delete(w.ctx, name) })
}

func (l *line) Now(context.Context) (now time.Time, err error) {
	err = l.do("now", "", func() (err error) { now, err = l.store.Now(l.ctx); return err })
	return now, err
}

// List takes a while, and of what comes or goes meanwhile it may or may not see anything.
func (l *line) List(_ context.Context, prefix string, f func(store.Info) error) error {
	var found []store.Info
	err := l.do("list", prefix, func() error {
		looks, all := map[string]int{}, map[string]store.Info{}
		look := func(i store.Info) error { looks[i.Name]++; all[i.Name] = i; return nil }
		err := l.store.List(l.ctx, prefix, look)
		time.Sleep(l.wait())
		if err == nil {
			err = l.store.List(l.ctx, prefix, look)
		}
		for _, name := range sorted(all) {
			if looks[name] == 2 || l.rng.IntN(2) == 0 {
				found = append(found, all[name])
			}
		}
		return err
	})
	for _, i := range found {
		if err == nil {
			err = f(i)
		}
	}
	return err
}

// tender are the calls before which it does most harm to stand still.
var tender = []string{
	"put index/", "put archive/", "put metadata/", "put condemned/", "put dropped/", "delete content/", "delete condemned/", "list dropped/", "list index/",
	"list archive/", "now ",
}

// trouble draws what happens to a process.
func (l *line) trouble() {
	paces := []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 5 * time.Hour, 15 * time.Hour}
	l.pace = paces[l.rng.IntN(len(paces))]
	if l.rng.IntN(5) == 0 {
		l.crash = 1 + l.rng.IntN(80)
	}
	if l.rng.IntN(3) == 0 {
		if l.pause = 1 + l.rng.IntN(60); l.rng.IntN(2) == 0 {
			l.pause, l.tender = 0, tender[l.rng.IntN(len(tender))]
		}
		l.still = time.Duration(math.Exp(l.rng.Float64()*math.Log(float64(20*day/time.Minute)))) * time.Minute
	}
	if l.rng.IntN(4) == 0 {
		l.noise = 0.005
	}
}
