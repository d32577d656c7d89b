package ec2test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Shelf mounts a file system of its own for the files of volumes, and has the server freeze it while it takes snapshots: those of a set are of one
// moment, whoever writes to the volumes' devices then, and nobody who has them mounted can tell that from a slow disk. It needs root, and returns the directory.
func (s *Server) Shelf(t testing.TB, gib int) string {
	t.Helper()
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "shelf")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("mkdir", mount)
	run("truncate", "-s", strconv.Itoa(gib)+"G", image)
	run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1", image)
	run("mount", "-o", "loop", image, mount)
	t.Cleanup(func() {
		s.world.Lock()
		s.Freeze = ""
		s.world.Unlock()
		run("umount", mount)
	})
	s.Freeze = mount
	return mount
}
