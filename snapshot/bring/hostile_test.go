package bring

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/snapshot"
)

func TestMountOptions(t *testing.T) {
	flags, data, err := mountOptions("xfs", "rw,noatime,inode64,logbufs=8,suid,dev,nouuid", false)
	if err != nil || data != "inode64,logbufs=8" || flags != unix.MS_NOATIME|unix.MS_NOSUID|unix.MS_NODEV {
		t.Errorf("%x %q %v", flags, data, err)
	}
	for _, bad := range []string{"loop", "context=x", "remount", "bind", "data=journal", "logdev=/dev/sda", "rtdev=/dev/sda", "noatime\x00", "..."} {
		if _, _, err := mountOptions("xfs", bad, false); !errors.Is(err, ErrHostile) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"journal_path=/dev/sda", "journal_dev=0x801", "usrjquota=../x", "errors=panic", "commit=99999", "sb=1"} {
		if _, _, err := mountOptions("ext4", bad, false); !errors.Is(err, ErrHostile) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func part(id, mount string) Part { return Part{Volume: snapshot.Volume{ID: id, Mount: mount}} }

func TestPoints(t *testing.T) {
	points, order, err := Points([]Part{part("a", "/data/x"), part("b", "/data"), part("c", ""), part("d", "/")}, "/mnt")
	if err != nil || strings.Join(order, "") != "dba" || points["a"] != "/mnt/data/x" || points["d"] != "/mnt" {
		t.Error(points, order, err)
	}
	if points, _, err = Points([]Part{part("d", "/"), part("a", "/srv")}, ""); err != nil || len(points) != 1 {
		t.Error(points, err)
	}
	for _, bad := range []string{"data", "/a/../etc", "/a//b", "/a/", "/etc", "/usr/lib", "/proc", "/a\nb"} {
		if _, _, err := Points([]Part{part("a", bad)}, ""); !errors.Is(err, ErrHostile) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := Points([]Part{part("a", "/x"), part("b", "/x")}, "/mnt"); !errors.Is(err, ErrHostile) {
		t.Error(err)
	}
}

// A restored file system may have a link where another is to be mounted.
func TestNoLinkIsFollowed(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"data", "data/new"} {
		if _, err := openPoint(filepath.Join(dir, at), &MountOptions{}); !errors.Is(err, ErrPoint) {
			t.Errorf("%s: %v", at, err)
		}
	}
	f, err := openPoint(filepath.Join(dir, "a", "b"), &MountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "a", "b", "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openPoint(filepath.Join(dir, "a", "b"), &MountOptions{}); !errors.Is(err, ErrPoint) {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	for kind, args := range map[string][]string{"ext4": {"mkfs.ext4", "-q"}, "xfs": {"mkfs.xfs", "-q"}} {
		file := filepath.Join(t.TempDir(), "image")
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 400<<20)); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(args[0], append(args[1:], file)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Probe(f, 400<<20); err != nil || got.Kind != kind || got.UUID == [16]byte{} {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
		f.Close()
	}
	for want, heads := range map[error][]map[int]string{
		ErrMember:       {{512: "LABELONE"}, {0: "\xfc\x4e\x2b\xa9"}, {4096: "\xfc\x4e\x2b\xa9"}, {0: "LUKS\xba\xbe"}},
		ErrNoFileSystem: {{}, {4086: "SWAPSPACE2"}, {65600: "_BHRfS_M"}, {7: "x"}},
	} {
		for _, at := range heads {
			head := make([]byte, headSize)
			for i, s := range at {
				copy(head[i:], s)
			}
			if _, err := Probe(bytes.NewReader(head), headSize); !errors.Is(err, want) {
				t.Errorf("%v: %v", at, err)
			}
		}
	}
	tail := make([]byte, 128<<10)
	copy(tail[64<<10:], "\xfc\x4e\x2b\xa9")
	if _, err := probe(make([]byte, headSize), tail); !errors.Is(err, ErrMember) {
		t.Error(err)
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte("XFSB"), []byte{})
	f.Add(append(make([]byte, 1024+56), 0x53, 0xef), []byte{1})
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		if got, err := probe(head, tail); err == nil && got.Kind != "ext4" && got.Kind != "xfs" {
			t.Errorf("%+v", got)
		}
	})
}
