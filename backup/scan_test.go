package backup

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

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

// A directory that is moved while the walk is deep in it costs what is in it, not the backup.
func TestMoved(t *testing.T) {
	src := t.TempDir()
	bottom := src + "/top" + strings.Repeat("/d", 200)
	must(t, os.MkdirAll(bottom, 0o755))
	must(t, os.WriteFile(bottom+"/large", make([]byte, batchBytes), 0o600))
	must(t, os.WriteFile(src+"/z", nil, 0o600))
	var reported []string
	o := Options{Paths: []string{src}, Problem: func(path string, _ error) { reported = append(reported, path) }}
	o.fill()
	sel, err := selectPaths(o.Paths, o.Problem)
	must(t, err)
	var seen []string
	open, left := 0, 0
	s := scanner{ctx: context.Background(), o: &o, stats: new(Statistics), now: time.Now, out: func(b *batch) error {
		for _, e := range b.events {
			switch e.kind {
			case enter:
				open++
			case leave:
				open--
				left++
			default:
				seen = append(seen, e.node.Name)
				if e.node.Name == "large" {
					must(t, os.Rename(src+"/top/d/d/d", src+"/away"))
					must(t, os.RemoveAll(src+"/top/d/d"))
				}
			}
		}
		b.close()
		return nil
	}}
	descriptors := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(names)
	}
	before := descriptors()
	root, err := local.OpenDir("/", nil)
	must(t, err)
	must(t, s.scan(root, sel, nil))
	must(t, root.Close())
	if after := descriptors(); after > before {
		t.Errorf("%d descriptors left behind", after-before)
	}
	if len(reported) == 0 {
		t.Error("nothing is reported")
	}
	if open != 0 || !slices.Contains(seen, "z") {
		t.Errorf("%d directories open at the end of %d; saw %q", open, left, seen)
	}
}
