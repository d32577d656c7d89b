package prune

import (
	"testing"

	"nightjar/snapshot"
	"nightjar/snapshot/plan"
)

// A snapshot with the mark of an archive is held; others are not.
func TestArchived(t *testing.T) {
	holds := plan.Holds{}
	archived([]snapshot.Set{{Snapshots: []snapshot.Snapshot{{ID: "snap-1"}, {ID: "snap-2", Tags: map[string]string{snapshot.TagArchived: "0123456789abcdef"}}}}}, holds)
	if len(holds) != 1 || holds["snap-2"] == "" {
		t.Error(holds)
	}
}
