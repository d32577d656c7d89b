package restore

import (
	"testing"

	"nightjar/backup/local"
)

// A file system in the target is made durable once, however often it is entered.
func TestCrossed(t *testing.T) {
	d, err := local.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := &restorer{device: 1, mounts: map[uint64]*local.Dir{}}
	for _, device := range []uint64{2, 1, 2} {
		if err := r.crossed(device, d); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.mounts) != 1 || r.mounts[2] == nil {
		t.Errorf("file systems to sync: %v", r.mounts)
	}
	for _, d := range r.mounts {
		d.Close()
	}
}
