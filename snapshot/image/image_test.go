package image

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/ec2test/disks"
)

const mib = 1 << 20

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file is new and sparse, and gone if something fails.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.img")
	i, err := Open(path, 64*mib, false)
	must(t, err)
	must(t, i.Block(mib, bytes.Repeat([]byte("x"), mib)))
	must(t, i.Hole(2*mib, 62*mib))
	if i.Block(64*mib-1, []byte("xy")) == nil || i.Hole(63*mib, 2*mib) == nil || i.Block(-1, []byte("x")) == nil {
		t.Error("beyond its end")
	}
	must(t, i.End(nil))
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	if st.Size != 64*mib || st.Blocks*512 > 4*mib || st.Mode&0o777 != 0o600 {
		t.Errorf("%d bytes, %d on the disk, mode %o", st.Size, st.Blocks*512, st.Mode)
	}
	if _, err := Open(path, mib, false); !errors.Is(err, ErrKind) {
		t.Errorf("a file that is there: %v", err)
	}
	if _, err := Open("/dev/null", mib, true); !errors.Is(err, ErrKind) {
		t.Errorf("a device of characters: %v", err)
	}
	other := filepath.Join(t.TempDir(), "w.img")
	i, err = Open(other, mib, false)
	must(t, err)
	why := errors.New("why")
	if err := i.End(why); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// loop makes a device of a file.
func loop(t *testing.T, backing string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root makes devices of files")
	}
	return disks.Loop(t, backing)
}

// A used device has the volume, zeros where that has nothing, and what it had beyond its end. One that is in use, or too small, is not touched.
func TestDevice(t *testing.T) {
	backing := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(backing, bytes.Repeat([]byte("old!"), 8*mib/4), 0o600))
	device := loop(t, backing)
	if _, err := Open(device, 9*mib, false); !errors.Is(err, ErrSmall) {
		t.Errorf("%v", err)
	}
	user, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0) // as a mount does
	must(t, err)
	if _, err := Open(device, 4*mib, false); !errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	forced, err := Open(device, 4*mib, true)
	must(t, err)
	must(t, forced.End(nil))
	must(t, user.Close())

	i, err := Open(device, 4*mib, false)
	must(t, err)
	if !i.Device() {
		t.Error("it is a device")
	}
	must(t, i.Hole(0, mib))
	must(t, i.Block(mib, bytes.Repeat([]byte("new!"), mib/4)))
	must(t, i.Hole(2*mib, mib))
	must(t, i.zero(3*mib, mib)) // where the kernel cannot
	must(t, i.End(nil))
	got, err := os.ReadFile(device)
	must(t, err)
	want := append(make([]byte, mib), bytes.Repeat([]byte("new!"), mib/4)...)
	want = append(append(want, make([]byte, 2*mib)...), bytes.Repeat([]byte("old!"), mib)...)
	if !bytes.Equal(got, want) {
		t.Error("the device has something else")
	}
}
