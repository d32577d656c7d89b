package backup_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/backuptest"

	"golang.org/x/sys/unix"
)

// peak runs f and returns how many bytes of memory it needed on top of what was there.
func peak(f func()) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most uint64
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	f()
	stop.Store(true)
	<-done
	return max(most, before) - before
}

// TestHugeFolder changes one file of very many.
func TestHugeFolder(t *testing.T) {
	backuptest.NeedRoot(t)
	n := 1_000_000
	if testing.Short() || backuptest.Race {
		n = 100_000
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
	memory := peak(func() { st = s.Save() })
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
		memory = peak(func() { st = s.Save() })
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

// TestFewDescriptors backs up and restores many small directories with few of them open.
func TestFewDescriptors(t *testing.T) {
	backuptest.NeedRoot(t)
	s := newSite(t)
	into := t.TempDir()
	for _, dir := range []string{s.Src, into} { // some disks take a minute
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	}
	content := backuptest.Random(20)
	for i := range backuptest.Scaled(3000, 1000) {
		dir := s.Path(fmt.Sprintf("d%d/d%d", i%10, i))
		must(t, os.MkdirAll(dir, 0o755))
		for j := range 7 {
			must(t, os.WriteFile(fmt.Sprint(dir, "/", j), append(content, byte(i), byte(i>>8), byte(j)), 0o600))
		}
	}
	for i := range backuptest.Scaled(500, 250) { // of several parts, so that they stay open until all have come
		f, err := os.Create(s.Path(fmt.Sprintf("d%d/parts%d", i%10, i)))
		must(t, err)
		for j := range 3 {
			_, err = f.WriteAt(append(content, byte(i), byte(i>>8), byte(j)), int64(j)<<20)
			must(t, err)
		}
		must(t, f.Close())
	}
	want := backuptest.FactsOf(t, s.Src)
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	few := was
	few.Cur = 512
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	s.Save()
	s.Log.None(t)
	var target string
	memory := peak(func() { target, _ = s.Restore(func(o *backup.RestoreOptions) { o.Target = into }) })
	s.Log.None(t)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	if memory > 200<<20 {
		t.Errorf("needed %d MiB", memory>>20)
	}
	backuptest.Same(t, backuptest.FactsOf(t, target), want)
}
