package disks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/ec2test"
)

// TestKilled has a test killed while its file systems are mounted and frozen: the next one takes away all that it left.
func TestKilled(t *testing.T) {
	if os.Getenv("NIGHTJAR_DISKS_TEST") == "killed" {
		die(t)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: loop devices need root")
	}
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), "NIGHTJAR_DISKS_TEST=killed")
	out, err := c.CombinedOutput()
	_, left, ok := strings.Cut(string(out), "left: ")
	if err == nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	fields := strings.Fields(left)
	dir, volume := fields[0], fields[1]
	New(t)
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	if _, err := os.Lstat(linkOf(volume)); err == nil {
		t.Errorf("%s is left", linkOf(volume))
	}
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, name := range files {
		if text, _ := os.ReadFile(name); strings.HasPrefix(string(text), dir+"/") {
			t.Errorf("%s is %s", name, text)
		}
	}
	if table, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(table), dir+"/") {
		t.Errorf("mounted is\n%s", table)
	}
}

// die leaves all that a test can leave.
func die(t *testing.T) {
	d := New(t)
	i := d.Server.Region("us-east-1").AddInstance(ec2test.Instance{})
	volume, _ := d.Add("us-east-1", i, "/dev/sdf", "ext4")
	at := filepath.Join(d.Dir, "mount")
	d.Mount(volume, at, "ext4")
	for _, path := range []string{at, d.shelf} {
		f, err := os.Open(path)
		must(t, err)
		must(t, unix.IoctlSetInt(int(f.Fd()), 0xc0045877, 0))
	}
	fmt.Println("left: " + d.Dir + " " + volume)
	must(t, unix.Kill(os.Getpid(), unix.SIGKILL))
	select {}
}
