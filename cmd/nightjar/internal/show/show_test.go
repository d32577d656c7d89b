package show

import (
	"strings"
	"testing"

	"nightjar/repo/tree"
)

func TestMode(t *testing.T) {
	for mode, want := range map[uint32]string{
		tree.Regular | 0o644: "-rw-r--r--", tree.Directory | 0o1777: "drwxrwxrwt", tree.Regular | 0o4755: "-rwsr-xr-x", tree.Regular | 0o6644: "-rwSr-Sr--",
		tree.Directory | 0o1000: "d--------T", tree.Symlink | 0o777: "lrwxrwxrwx", tree.FIFO | 0o600: "prw-------", tree.Socket: "s---------",
		tree.CharDevice: "c---------", tree.BlockDevice: "b---------", 0: "?---------",
	} {
		if got := modeText(mode); got != want {
			t.Errorf("modeText(%o) = %q, want %q", mode, got, want)
		}
	}
}

func TestEntryTimes(t *testing.T) {
	for _, sec := range []int64{-1 << 62, 1 << 40, 1 << 62, 0} {
		var b strings.Builder
		j := JSONArray{W: &b}
		if err := j.Add(Entry("/x", &tree.Node{Mtime: tree.Time{Sec: sec}})); err != nil {
			t.Errorf("time %d: %v", sec, err)
		}
	}
}

func TestEntryNotes(t *testing.T) {
	var b strings.Builder
	j := JSONArray{W: &b}
	err := j.Add(Entry("/x", &tree.Node{Xattrs: []tree.Xattr{{Name: "nightjar.acl", Value: []byte{1}}, {Name: "nightjar.rows", Value: []byte("12\xff")}, {Name: "user.x", Value: []byte("y")}}}))
	if err != nil || !strings.Contains(b.String(), `"notes":{"rows":"12\\xff"}`) {
		t.Errorf("%s, %v", b.String(), err)
	}
}
