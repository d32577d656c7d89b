package local

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

func benchNames(b *testing.B, d *Dir) []string {
	b.Helper()
	for i := range 1000 {
		f, err := d.Create(fmt.Sprintf("a name of common length %d", i))
		must(b, err)
		f.Close()
	}
	names, err := d.Names()
	must(b, err)
	return names
}

func BenchmarkStat(b *testing.B) {
	d, _ := openTemp(b)
	names := benchNames(b, d)
	b.ReportAllocs()
	var n tree.Node
	for i := 0; b.Loop(); i++ {
		must(b, d.Stat(names[i%len(names)], &n))
	}
}

func BenchmarkNames(b *testing.B) {
	d, _ := openTemp(b)
	benchNames(b, d)
	b.ReportAllocs()
	for b.Loop() {
		_, err := d.Names()
		must(b, err)
	}
}

func BenchmarkXattrsFile(b *testing.B) {
	d, _ := openTemp(b)
	f, err := d.Open(benchNames(b, d)[0])
	must(b, err)
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		_, err := d.XattrsFile(f)
		must(b, err)
	}
}

func BenchmarkCreateAndApply(b *testing.B) {
	d, _ := openTemp(b)
	own := tree.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), User: "root", Group: "root"}
	a := &Applier{Owners: NewOwners(), Xattrs: true}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		must(b, putBack(d, a, &tree.Node{Name: fmt.Sprint(i), Mode: unix.S_IFREG | 0o644, Owner: own, Mtime: when}))
	}
}
