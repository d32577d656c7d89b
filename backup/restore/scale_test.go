package restore_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
)

// TestFewDescriptors backs up and restores many small directories with few of them open.
func TestFewDescriptors(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
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
	memory := backuptest.Peak(func() { target, _ = s.Restore(func(o *restore.Options) { o.Target = into }) })
	s.Log.None(t)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	if memory > 200<<20 {
		t.Errorf("needed %d MiB", memory>>20)
	}
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
}
