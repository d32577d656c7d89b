package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/servertest"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/disks"
	"nightjar/snapshot/freeze"
)

// A volumeHere is a file system on a loop device that is an EBS volume of the instance that this machine takes itself for.
type volumeHere struct {
	id, device, mount string
}

// newVolumeHere makes one, until the end of the test.
func newVolumeHere(t *testing.T, s *ec2test.Server, kind string) volumeHere {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nightjar-volume-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	v := volumeHere{mount: filepath.Join(dir, "mount")}
	image := filepath.Join(dir, "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 1<<30))
	must(t, os.Mkdir(v.mount, 0o755))
	command := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	command("mkfs."+kind, "-q", image)
	v.device = disks.Loop(t, image)
	command("mount", "-o", "noatime", v.device, v.mount)
	t.Cleanup(func() {
		freeze.ThawPath(v.mount)
		command("umount", v.mount)
	})
	r := s.Region("us-east-1")
	instance := r.AddInstance(ec2test.Instance{})
	r.Attach(r.AddVolume(ec2test.Volume{GiB: 1}), instance, "/dev/xvda")
	v.id = r.AddVolume(ec2test.Volume{Backing: image})
	r.Attach(v.id, instance, "/dev/sdf")
	s.On(instance)
	links := "/dev/disk/by-id"
	must(t, os.MkdirAll(links, 0o755))
	link := filepath.Join(links, "nvme-Amazon_Elastic_Block_Store_"+strings.Replace(v.id, "-", "", 1))
	must(t, os.Symlink("../.."+strings.TrimPrefix(v.device, "/dev"), link))
	t.Cleanup(func() { os.Remove(link) })
	return v
}

// A database that is written to is locked, and its file system frozen, while its volume is taken; its position is in the tags, and writers go on.
func TestEBSStill(t *testing.T) {
	needRoot(t)
	d := &dumper{T: t, home: t.TempDir()}
	s := ec2test.New(t)
	v := newVolumeHere(t, s, "ext4")
	d.env = s.Environ()
	t.Setenv("TMPDIR", v.mount)
	db := servertest.Start(t, servertest.MariaDB1011, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1")
	load := db.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 200})
	defaults := filepath.Join(d.home, "my.cnf")
	must(t, os.WriteFile(defaults, fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", db.Socket), 0o600))
	type answer struct {
		Set struct {
			Set, Consistency, Why string
			Position              struct{ File string }
			Snapshots             []struct{ Volume, Mount string }
		}
		Locked float64 `json:"locked_ms"`
		Frozen float64 `json:"frozen_ms"`
		Called float64 `json:"calls_ms"`
	}
	take := func(args ...string) (a answer) {
		t.Helper()
		s.Advance(time.Minute) // a volume can be taken only so often
		must(t, json.Unmarshal([]byte(d.must(append([]string{"ebs", "take", "--json", "--defaults-file", defaults, "--max-freeze", "1m"}, args...)...)), &a))
		before := load.Commits()
		for end := time.Now().Add(2 * time.Minute); load.Commits() == before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody writes any more")
			}
		}
		if len(a.Set.Snapshots) != 1 || a.Set.Snapshots[0].Volume != v.id || a.Set.Snapshots[0].Mount != v.mount {
			t.Errorf("%+v", a)
		}
		return a
	}
	if a := take("--lock"); a.Set.Consistency != "application" || a.Set.Why != "" || a.Set.Position.File == "" || a.Frozen <= 0 || a.Locked < a.Frozen {
		t.Errorf("%+v", a)
	} else {
		t.Logf("locked for %.1f ms, frozen for %.1f ms, of which the calls took %.1f ms", a.Locked, a.Frozen, a.Called)
	}
	if a := take("--freeze"); a.Set.Consistency != "filesystem" || a.Frozen <= 0 || a.Locked != 0 {
		t.Errorf("%+v", a)
	}
	// Durable settings, all tables of InnoDB, all files on the volume: as after a loss of power is enough.
	if a := take("--mysql"); a.Set.Consistency != "crash" || a.Frozen != 0 || a.Locked != 0 {
		t.Errorf("%+v", a)
	}
	db.Exec(t, "SET GLOBAL sync_binlog=0")
	if a := take("--mysql"); a.Set.Consistency != "application" || a.Frozen <= 0 {
		t.Errorf("%+v", a)
	}
	load.Stop()
}
