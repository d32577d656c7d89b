package restore

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup/local"
	"nightjar/internal/watch"
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

// Of a large file at most what was written last waits for the end of a restore: the disk works meanwhile.
func TestWriteBehind(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/large")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &placedFile{r: &restorer{o: &Options{Progress: new(watch.Progress)}}, file: file}
	part := make([]byte, 1<<20)
	const parts = 3 * aheadOfSync >> 20
	f.pending.Store(parts + 1)
	for i := range int64(parts) {
		f.write(part, i<<20)
	}
	if f.err != nil {
		t.Fatal(f.err)
	}
	var cached unix.Cachestat_t
	switch err := unix.Cachestat(uint(file.Fd()), &unix.CachestatRange{Len: parts << 20}, &cached, 0); err {
	case nil:
	case unix.ENOSYS: // before Linux 6.5
		t.Skip("SKIPPED, NOTHING TESTED: the kernel does not tell what waits:", err)
	default:
		t.Fatal(err)
	}
	if waiting := cached.Dirty * uint64(os.Getpagesize()); waiting > aheadOfSync {
		t.Errorf("%d of %d MiB wait for the end", waiting>>20, parts)
	}
}
