package simulate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"nightjar/crypto"
	"nightjar/repo/keyring"
)

// rekey has the holder of the recovery key change the keys of this world, which all know at once.
func (s *stage) rekey(edit func(*keyring.Draft) error) {
	e := keyring.Editor{
		Store: s.store, Now: s.now, Random: random{rand.New(rand.NewPCG(3, 4))},
		Load: func(context.Context) (*keyring.Keyring, error) { return s.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(s.recovery))
		},
	}
	next, _, err := e.Change(s.ctx, edit)
	must(next, err)
	own := *s.cast
	own.keys = next
	s.world.cast = &own
	for _, a := range []*actor{s.a.actor, s.b.actor, s.p.actor, s.q.actor} {
		a.keys = next
	}
	s.observer = s.openAll()
}

// A host builds on another until that is taken away, in the middle of a run. What it has built stays whole, though the other gives all of it up; what it builds
// from then on is its own.
func TestTrustEnds(t *testing.T) {
	theCast()
	theTexts()
	var err error
	synctest.Test(t, func(*testing.T) {
		s := newStage(nil)
		first := s.save(s.a, files{"old/1": text(0), "old/2": listed(0, 1)})
		known := s.count.ChunksKnown
		s.save(s.b, files{"old/1": text(0)})
		if s.count.ChunksKnown == known {
			s.fail(errors.New("it does not build on the other"))
		}
		s.begin()
		s.backUp(s.b, files{"a/1": text(0), "z/2": listed(0, 1)}, func(folder string) {
			if folder == "a" {
				s.rekey(func(d *keyring.Draft) error { return d.SetTrust(s.b.name, false) })
				s.at(hour)
			}
		})
		s.check("trust ended")
		s.forget(first)
		s.save(s.a, files{"new/1": text(2)})
		s.daily(40)
		if s.count.Removed == 0 {
			s.fail(errors.New("nothing was removed"))
		}
		known = s.count.ChunksKnown
		s.b.was, s.b.grown = nil, nil
		s.save(s.b, files{"own/1": revise(s.rng, text(2))})
		s.save(s.b, files{"own/2": text(2)})
		if s.count.ChunksKnown != known {
			s.fail(fmt.Errorf("it still builds on the other: %d chunks", s.count.ChunksKnown-known))
		}
		s.check("all")
		err = s.failed()
	})
	if err != nil {
		t.Error(err)
	}
}
