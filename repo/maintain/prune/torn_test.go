package prune_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/store/storetest"
)

// A listing that breaks off anywhere stops a prune, which gives up nothing for want of what it did not see.
func TestPruneTornListing(t *testing.T) {
	condemns := newClocked(t)
	condemns.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	first := condemns.Night()
	condemns.Files = map[string][]byte{"beta": maintaintest.Random(2000)}
	condemns.Night()
	condemns.forget(first)
	condemns.pass(ripe)
	drops := condemns.copied()
	drops.prune(prune.Options{})
	drops.pass(ripe)
	for name, scene := range map[string]*clocked{"condemns": condemns, "drops": drops} {
		t.Run(name, func(t *testing.T) {
			want := scene.copied()
			want.T = t
			want.prune(prune.Options{})
			torn := errors.New("torn")
			for n, done := 1, false; !done; n++ {
				c := scene.copied()
				c.T = t
				seen := 0
				faulty := &storetest.Faulty{Store: c.Store}
				r := c.OpenAt(faulty, false)
				faulty.Tear = func(string, int) error {
					if seen++; seen == n {
						return torn
					}
					return nil
				}
				_, err := prune.Run(context.Background(), r, prune.Options{})
				if done = seen < n; !done && !errors.Is(err, torn) {
					t.Fatalf("torn at object %d: %v", n, err)
				}
				c.Whole()
				for _, kind := range []string{"content", "metadata", "index", "archive"} {
					for _, object := range want.Names(kind) {
						if !slices.Contains(c.Names(kind), object) {
							t.Fatalf("torn at object %d: %s is gone", n, object)
						}
					}
				}
				c.prune(prune.Options{})
				c.Whole()
			}
		})
	}
}
