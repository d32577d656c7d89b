package scan

import (
	"testing"

	"nightjar/repo/tree"
)

func TestUnchanged(t *testing.T) {
	is := tree.Node{Size: 1, Mtime: tree.Time{Sec: 1}, Ctime: tree.Time{Sec: 1}, Inode: 1}
	if was := is; !unchanged(&is, &was) {
		t.Error("the same has changed")
	}
	for _, change := range []func(n *tree.Node){
		func(n *tree.Node) { n.Size++ }, func(n *tree.Node) { n.Mtime.Nsec++ }, func(n *tree.Node) { n.Ctime.Nsec++ },
		func(n *tree.Node) { n.Ctime.Sec-- }, func(n *tree.Node) { n.Inode++ }, func(n *tree.Node) { n.Flags = tree.Unsettled },
	} {
		was := is
		if change(&was); unchanged(&is, &was) {
			t.Errorf("%+v is taken for %+v", is, was)
		}
	}
}
