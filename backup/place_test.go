package backup

import (
	"testing"

	"nightjar/backup/local"
)

// A file system in the target is made durable once, however often it is entered.
func TestCrossed(t *testing.T) {
	d, err := local.OpenDir(t.TempDir(), nil)
	must(t, err)
	defer d.Close()
	r := &restorer{device: 1, mounts: map[uint64]*local.Dir{}}
	for range 2 {
		must(t, r.crossed(2, d))
		must(t, r.crossed(r.device, d))
	}
	if len(r.mounts) != 1 {
		t.Errorf("%d file systems to sync", len(r.mounts))
	}
	for _, d := range r.mounts {
		must(t, d.Close())
	}
}
