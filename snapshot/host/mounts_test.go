package host

import (
	"slices"
	"strings"
	"testing"
)

func TestMounts(t *testing.T) {
	const table = `25 1 252:0 / / rw,relatime - ext4 /dev/vda rw,discard
36 25 259:3 /sub\040dir /mnt/a\011b\134c\012d rw,noatime shared:5 master:1 - xfs /dev/nvme1n1p1 rw,attr2
37 25 0:44 / /mnt/- ro - tmpfs - rw,size=4k
38 25 0:4 mnt:[4026532] /run/netns/x rw - nsfs nsfs rw
`
	mounts, err := readMounts(strings.NewReader(table))
	if err != nil || len(mounts) != 4 {
		t.Fatal(mounts, err)
	}
	want := Mount{ID: 36, Parent: 25, Number: Number{259, 3}, Root: "/sub dir", Path: "/mnt/a\tb\\c\nd", Options: "rw,noatime", FS: "xfs", Source: "/dev/nvme1n1p1", FSOptions: "rw,attr2"}
	if mounts[1] != want {
		t.Errorf("got %+v", mounts[1])
	}
	if m := mounts[2]; m.Path != "/mnt/-" || m.Source != "-" || !m.ReadOnly() || mounts[1].ReadOnly() {
		t.Errorf("got %+v", m)
	}
	if own, err := (Machine{}).Mounts(); err != nil || !slices.ContainsFunc(own, func(m Mount) bool { return m.Path == "/proc" }) {
		t.Errorf("this machine: %v, %v", own, err)
	}
	if mounts, err := (Machine{Root: t.TempDir()}).Mounts(); err == nil {
		t.Errorf("no table: %v", mounts)
	}
}

func TestHostileMounts(t *testing.T) {
	for _, line := range []string{
		"", "-", "1 2 3:4 / / rw -", "1 2 3:4 / / rw - ext4 x", "1 2 3:4 / /a rw x", "x 2 3:4 / / rw - ext4 x rw", "1 x 3:4 / / rw - ext4 x rw",
		"1 2 3 / / rw - ext4 x rw", "1 2 3:04 / / rw - ext4 x rw", "1 2 3:-4 / / rw - ext4 x rw", "1 2 3:99999999999 / / rw - ext4 x rw",
		`1 2 3:4 / /a\04 rw - ext4 x rw`, `1 2 3:4 / /a\ rw - ext4 x rw`, `1 2 3:4 / /a\999 rw - ext4 x rw`, `1 2 3:4 / /a\000 rw - ext4 x rw`, `1 2 3:4 / /a\777 rw - ext4 x rw`,
		"1 2 3:4 / a rw - ext4 x rw", "1 2 3:4 / /" + strings.Repeat("a", maxLine) + " rw - ext4 x rw",
	} {
		if got, err := readMounts(strings.NewReader(line + "\n")); err == nil {
			t.Errorf("%.80q: took %+v", line, got)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("36 25 259:3 /sub\\040dir /mnt/a\\011b rw,noatime shared:5 - xfs /dev/nvme1n1p1 rw,attr2")
	f.Add("37 25 0:44 / /mnt/- ro - tmpfs - rw")
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parseMount(line)
		if err != nil {
			return
		}
		if len(m.Path) > len(line) || !strings.HasPrefix(m.Path, "/") || strings.Contains(m.Path, "\x00") && !strings.Contains(line, "\x00") {
			t.Errorf("%q became %q", line, m.Path)
		}
	})
}
