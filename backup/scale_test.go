package backup_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/backuptest"

	"golang.org/x/sys/unix"
)

// TestHugeFolder changes one file of very many.
func TestHugeFolder(t *testing.T) {
	backuptest.NeedRoot(t)
	n := 1_000_000
	if testing.Short() || backuptest.Race {
		n = 30_000
	}
	s := newSite(t)
	must(t, unix.Mount("none", s.Src, "tmpfs", 0, "nr_inodes=0"))
	t.Cleanup(func() { must(t, unix.Unmount(s.Src, unix.MNT_DETACH)) })
	must(t, os.Mkdir(s.Path("folder"), 0o755))
	start := time.Now()
	for i := range n {
		must(t, unix.Mknod(s.Path(fmt.Sprintf("folder/some file with number %07d", i)), unix.S_IFREG|0o644, 0))
	}
	t.Logf("made %d files in %v", n, time.Since(start))
	backuptest.Age()
	start = time.Now()
	var st backup.Statistics
	memory := backuptest.Peak(func() { st = s.Save() })
	s.Log.None(t)
	if memory > 300<<20 || st.Files != uint64(n) {
		t.Errorf("%d files, %d MiB", st.Files, memory>>20)
	}
	t.Logf("saved in %v, %d MiB", time.Since(start), memory>>20)
	// Where one change ends a piece elsewhere, the next ones move too until the cuts meet again: what is small is the usual cost.
	var cost []uint64
	for i := range 5 {
		s.Write(fmt.Sprintf("folder/some file with number %07d", n/2+i*n/20), "changed")
		start = time.Now()
		memory = backuptest.Peak(func() { st = s.Save() })
		s.Log.None(t)
		t.Logf("again in %v, %d MiB, %d bytes of metadata", time.Since(start), memory>>20, st.MetadataNew)
		if memory > 300<<20 || st.Changed != 1 || st.Unchanged != uint64(n-1) || st.MetadataNew > 2<<20 {
			t.Errorf("one changed of %d: %d MiB, %+v", n, memory>>20, st)
		}
		cost = append(cost, st.MetadataNew)
	}
	slices.Sort(cost)
	if median := cost[len(cost)/2]; median > 300<<10 {
		t.Errorf("one changed of %d: %d bytes of metadata", n, median)
	}
}
