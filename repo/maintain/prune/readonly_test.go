package prune_test

import (
	"os"
	"syscall"
	"testing"

	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/store/storetest"
)

// A store that may only be read cannot tell its time; whoever changes nothing can do without.
func TestDryRunReadOnly(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	c.Night()
	readOnly := func(call storetest.Call) error {
		switch call.Op {
		case storetest.Now, storetest.Put, storetest.Delete:
			return &os.PathError{Op: "openat", Path: call.Name, Err: syscall.EROFS}
		}
		return nil
	}
	r := c.OpenAt(&storetest.Faulty{Store: c.Store, Before: []storetest.Hook{readOnly}}, false)
	if sums, err := prune.Run(t.Context(), r, prune.Options{DryRun: true}); err != nil || sums.Archives != 1 {
		t.Errorf("dry run: %+v, %v", sums, err)
	}
	if _, err := prune.Run(t.Context(), r, prune.Options{}); err == nil {
		t.Error("a prune of what may only be read succeeds")
	}
}
