package lookup

import (
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// knows fails unless the index knows all of the chunks, or none.
func knows(t *testing.T, x *Index, first, n int, want bool) {
	t.Helper()
	for i := first; i < first+n; i++ {
		_, ok, err := x.Has(chunkKey(i), pack.WholeContent, nil)
		if found, lookupErr := x.Lookup(chunkKey(i), nil); err != nil || lookupErr != nil || ok != want || len(found) > 0 != want {
			t.Fatalf("chunk %d: %v, %v; %d locations, %v; want %v", i, ok, err, len(found), lookupErr, want)
		}
	}
}

func TestReplaces(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		x := openIn(t, t.TempDir())
		step := func() {
			if flushed {
				flush(t, x)
			}
		}
		merged := objectOf(random(9), contentOf(0, 30))
		merged.Replaces = []index.ObjectID{objectID(0), objectID(1), objectID(2)}
		add(t, x, 0, "A", objectOf(random(0), contentOf(0, 30)))
		add(t, x, 1, "B", objectOf(random(1), contentOf(50, 30)))
		step()
		add(t, x, 9, "A", merged)
		step()
		add(t, x, 2, "A", objectOf(random(2), contentOf(90, 30))) // replaced before it was seen
		step()
		if found, err := x.Lookup(chunkKey(3), nil); err != nil || len(found) != 1 {
			t.Errorf("a replaced object counts beside what stands for it: %v, %v", found, err)
		}
		knows(t, x, 50, 30, true) // another signer's
		knows(t, x, 90, 30, false)
		if n := len(x.Sources()); n != 4 {
			t.Errorf("%d sources, want all 4: they need not be fetched again", n)
		}

		// When what stood for it goes, it counts again, or has to be fetched.
		if err := x.Retain(func(s Source) bool { return s.Object != objectID(9) }); err != nil {
			t.Fatal(err)
		}
		for _, s := range x.Sources() {
			if s.Object == objectID(9) {
				t.Error("what is gone is named")
			}
		}
		if flushed {
			add(t, x, 0, "A", objectOf(random(0), contentOf(0, 30)))
		}
		add(t, x, 2, "A", objectOf(random(2), contentOf(90, 30))) // never taken in
		knows(t, x, 0, 30, true)
		knows(t, x, 90, 30, true)
	}
}

func TestAddRefuses(t *testing.T) {
	x := openIn(t, t.TempDir())
	for name, change := range map[string]func(p *index.Pack){
		"hashes":        func(p *index.Pack) { p.Hashes = nil },
		"size":          func(p *index.Pack) { p.Size-- },
		"negative":      func(p *index.Pack) { p.Directory.Frames[0].Blobs[0].Length = -1 },
		"lengths":       func(p *index.Pack) { p.Directory.Frames[0].Blobs[0].Length++ },
		"blob too long": func(p *index.Pack) { p.Directory.Frames[0].Blobs[0].Length = chunk.MaxSize + 1 },
	} {
		obj := &index.Object{Runs: []index.Run{{Owner: "web1", Packs: []index.Pack{{
			Size: 572, Session: []byte("session"),
			Directory: pack.Directory{Kind: pack.Content, Owner: "web1", Frames: []pack.Frame{
				{Stored: 500, Plain: 1010, Blobs: []pack.Blob{{Key: chunkKey(1), Type: pack.WholeContent, Length: 1000}, {Key: chunkKey(2), Type: pack.WholeContent, Length: 10}}},
				{Stored: 13, Plain: 0, Blobs: []pack.Blob{{Key: chunkKey(3), Type: pack.WholeContent}}},
			}},
			Hashes: make([][32]byte, 2),
		}}}}}
		change(&obj.Runs[0].Packs[0])
		if err := x.Add(Source{objectID(1), Origin{Signer: "A"}}, obj); err == nil || !strings.Contains(err.Error(), objectID(1).String()) {
			t.Errorf("%s: %v, want an error that names the object", name, err)
		}
	}
	if x.Entries() != 0 || len(x.Sources()) != 0 {
		t.Error("a refused object left something")
	}
}

func TestTiers(t *testing.T) {
	dir := t.TempDir()
	x := openIn(t, dir)
	r := random(5)
	written, entries, most := int64(0), int64(0), 0
	for n := range 400 {
		size := 1 + r.IntN(60)
		add(t, x, n, "A", objectOf(r, contentOf(n*100, size)))
		entries += int64(size)
		before := map[string]bool{}
		for _, g := range x.segments {
			before[g.name] = true
		}
		flush(t, x)
		for _, g := range x.segments {
			if !before[g.name] {
				written += g.entries()
			}
		}
		most = max(most, len(x.segments)-1)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != len(x.segments)-1 {
		t.Errorf("%d files are in the folder, %v, want %d", len(names), err, len(x.segments)-1)
	}
	levels := math.Log(float64(entries)/float64(x.floor)) / math.Log(ratio)
	if most > int(levels)+2 {
		t.Errorf("up to %d files for %d entries", most, entries)
	}
	if amplification := float64(written) / float64(entries); amplification > 2*ratio*levels {
		t.Errorf("each entry was written %.1f times", amplification)
	} else {
		t.Logf("%d entries, at most %d files, each written %.1f times", entries, most, amplification)
	}
	if x.Entries() != entries {
		t.Errorf("%d entries, want %d", x.Entries(), entries)
	}

	// What is gone from the repository is given back.
	keep := func(s Source) bool { return s.Object == objectID(7) || s.Object == objectID(399) }
	if err := x.Retain(keep); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		flush(t, x)
	}
	if _, content := writtenAll(t, dir); content > 20<<10 {
		t.Errorf("%d bytes are left for two small objects", content)
	}
	knows(t, x, 700, 1, true)
	knows(t, x, 800, 1, false)
	if err := x.Retain(func(Source) bool { return false }); err != nil {
		t.Fatal(err)
	}
	flush(t, x)
	if n, _ := writtenAll(t, dir); n != 0 || x.Entries() != 0 {
		t.Errorf("%d files and %d entries are left of nothing", n, x.Entries())
	}
}

func writtenAll(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return len(names), size
}

func TestAddFlushes(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{FlushAt: 100})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		add(t, x, n, "A", objectOf(random(0), contentOf(n*30, 30)))
	}
	if n, _ := writtenAll(t, dir); n != 1 || x.pending() != 0 {
		t.Errorf("%d files, %d entries in memory, want 1 and 0", n, x.pending())
	}
	x.Close()
	knows(t, openIn(t, dir), 0, 120, true)
}

func TestUnusableFolder(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	warned := 0
	x, err := Open(filepath.Join(blocked, "index"), Options{Warn: func(error) { warned++ }, FlushAt: 50})
	if err != nil || warned != 1 {
		t.Fatalf("%v, %d warnings", err, warned)
	}
	for n := range 3 {
		add(t, x, n, "A", objectOf(random(0), contentOf(n*30, 30)))
	}
	flush(t, x)
	knows(t, x, 0, 90, true)
	if warned != 1 || len(x.Sources()) != 3 {
		t.Errorf("%d warnings, %d sources", warned, len(x.Sources()))
	}
}

// A full disk costs a warning; nothing is lost, and nothing is left behind.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	mount := func(flags uintptr, size string) error { return unix.Mount("tmpfs", dir, "tmpfs", flags, "size="+size) }
	if err := mount(0, "64k"); errors.Is(err, unix.EPERM) {
		if os.Getenv("CI") != "" {
			t.Fatal("this test must run as root: it mounts a small file system")
		}
		t.Skip("NOT TESTED: a full disk, since only root can mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var warnings []error
	x, err := Open(dir, Options{FlushAt: 1000, Warn: func(err error) { warnings = append(warnings, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	add(t, x, 0, "A", objectOf(random(0), contentOf(0, 500)))
	flush(t, x)
	if len(warnings) != 0 {
		t.Fatal(warnings)
	}
	for n := 1; n < 10; n++ {
		add(t, x, n, "A", objectOf(random(0), contentOf(n*500, 500)))
	}
	if len(warnings) < 2 || len(warnings) > 5 {
		t.Errorf("%d warnings, want one each thousand entries", len(warnings))
	}
	for _, err := range warnings {
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("warned %v, want ENOSPC", err)
		}
	}
	knows(t, x, 0, 5000, true)
	if n, _ := writtenAll(t, dir); n != 1 {
		t.Errorf("%d files, want the one that fitted", n)
	}

	if err := mount(unix.MS_REMOUNT, "64m"); err != nil {
		t.Fatal(err)
	}
	flush(t, x)
	if x.pending() != 0 {
		t.Error("with space again, the memory was not written")
	}
	knows(t, openIn(t, dir), 0, 5000, true)
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	x := openIn(t, dir)
	add(t, x, 0, "A", objectOf(random(0), contentOf(0, 100)))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for n := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := r.IntN(100)
				length, ok, err := x.Has(chunkKey(c), pack.WholeContent, func(o *Origin) bool { return o.Signer == "A" })
				found, lookupErr := x.Lookup(chunkKey(c), nil)
				if err != nil || lookupErr != nil || !ok || len(found) != 1 || found[0].Length != length {
					t.Errorf("chunk %d: %d, %v, %v; %v, %v", c, length, ok, err, found, lookupErr)
					return
				}
				x.Sources()
				x.Entries()
			}
		})
	}
	var writers sync.WaitGroup
	for n := range 2 {
		writers.Go(func() {
			for i := range 40 {
				number := 1 + n*100 + i
				add(t, x, number, "A", objectOf(random(uint64(number)), contentOf(number*100, 50)))
				flush(t, x)
				if err := x.Retain(func(s Source) bool { return s.Object != objectID(1+n*100+i/2) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// A file that breaks under readers and writers is dropped once, and nobody is told a wrong thing.
func TestConcurrentBreak(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	add(t, x, 0, "A", objectOf(random(0), contentOf(0, 2000)))
	flush(t, x)
	name, content := written(t, dir)
	for at := x.segments[1].table.(*file).pagesAt; at < uint64(len(content)); at += pageSize {
		content[at] ^= 1
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for c := range 200 {
				if n == 0 {
					add(t, x, 1+c, "A", objectOf(random(1), contentOf(5000+c, 1)))
					flush(t, x)
				} else if _, ok, err := x.Has(chunkKey(c), pack.WholeContent, nil); ok || err != nil && !errors.Is(err, ErrBroken) {
					t.Errorf("chunk %d: %v, %v", c, ok, err)
				}
			}
		})
	}
	all.Wait()
	for _, s := range x.Sources() {
		if s.Object == objectID(0) {
			t.Error("the broken file still counts")
		}
	}
	add(t, x, 0, "A", objectOf(random(0), contentOf(0, 2000)))
	flush(t, x)
	knows(t, x, 0, 2000, true)
	knows(t, x, 5000, 200, true)
}

// Two processes work in one folder: each keeps what it has open, and nobody loses anything.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	a := openIn(t, dir)
	add(t, a, 0, "A", objectOf(random(0), contentOf(0, 50)))
	flush(t, a)
	b := openIn(t, dir)
	for n := 1; n < 20; n++ {
		x, first := a, n*100
		if n%2 == 0 {
			x = b
		}
		add(t, x, n, "A", objectOf(random(uint64(n)), contentOf(first, 50)))
		flush(t, x) // merges what the other has open too
		knows(t, x, first, 50, true)
		knows(t, a, 0, 50, true)
		knows(t, b, 0, 50, true)
	}
	c := openIn(t, dir)
	if n := len(c.Sources()); n != 20 {
		t.Errorf("%d sources, want 20", n)
	}
	for n := range 20 {
		knows(t, c, n*100, 50, true)
		if found, _ := c.Lookup(chunkKey(n*100), nil); len(found) != 1 {
			t.Errorf("chunk %d is named %d times", n*100, len(found))
		}
	}
}

func TestClosed(t *testing.T) {
	x := openIn(t, t.TempDir())
	x.Close()
	_, _, hasErr := x.Has(chunk.Key{}, pack.WholeContent, nil)
	_, lookupErr := x.Lookup(chunk.Key{}, nil)
	for name, err := range map[string]error{"has": hasErr, "lookup": lookupErr, "add": x.Add(Source{}, &index.Object{}), "flush": x.Flush(),
		"retain": x.Retain(nil)} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHasAllocatesNothing(t *testing.T) {
	x := openIn(t, t.TempDir())
	add(t, x, 0, "A", objectOf(random(0), contentOf(0, 500)))
	flush(t, x)
	trusted, key := func(*Origin) bool { return true }, chunkKey(0)
	n := testing.AllocsPerRun(1000, func() {
		if _, ok, err := x.Has(key, pack.WholeContent, trusted); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	if n > 1 { // with the race detector a sync.Pool forgets some
		t.Errorf("%v allocations", n)
	}
}

// An index object may be about packs of several hosts: each is asked for by itself, after files were merged too.
func TestOwners(t *testing.T) {
	dir := t.TempDir()
	x := openIn(t, dir)
	both, other := objectOf(random(1), contentOf(0, 30)), objectOf(random(2), contentOf(30, 30))
	other.Runs[0].Owner = "web2"
	for i := range other.Runs[0].Packs {
		other.Runs[0].Packs[i].Directory.Owner = "web2"
	}
	both.Runs = append(both.Runs, other.Runs...)
	both.Replaces = []index.ObjectID{objectID(9)}
	old := objectOf(random(3), contentOf(60, 5))
	if err := x.Add(Source{objectID(8), Origin{Signer: "A", Late: true}}, old); err != nil {
		t.Fatal(err)
	}
	has := func(c int, want Origin) bool {
		t.Helper()
		_, ok, err := x.Has(chunkKey(c), pack.WholeContent, func(o *Origin) bool { return *o == want })
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for round := range 3 {
		add(t, x, 1, "R", both)
		for c := range 60 {
			web1, web2 := has(c, Origin{"R", "web1", false}), has(c, Origin{"R", "web2", false})
			if web1 != (c < 30) || web2 != (c >= 30) {
				t.Errorf("round %d: chunk %d is of web1: %v, of web2: %v", round, c, web1, web2)
			}
		}
		if !has(60, Origin{"A", "web1", true}) || has(60, Origin{"A", "web1", false}) {
			t.Errorf("round %d: what is late is not known as that", round)
		}
		if n := len(x.Sources()); n != 3 {
			t.Errorf("round %d: %d sources, want one of each owner", round, n)
		}
		add(t, x, 10+round, "R", objectOf(random(9), contentOf(100+round, 1)))
		flush(t, x)
		x.Close()
		x = openIn(t, dir)
		if err := x.Retain(func(s Source) bool { return s.Object == objectID(1) || s.Object == objectID(8) }); err != nil {
			t.Fatal(err)
		}
	}
	// What is late stands for nothing.
	late := objectOf(random(4), contentOf(70, 5))
	late.Replaces = []index.ObjectID{objectID(1)}
	if err := x.Add(Source{objectID(20), Origin{Signer: "R", Late: true}}, late); err != nil {
		t.Fatal(err)
	}
	if !has(0, Origin{"R", "web1", false}) {
		t.Error("a late object replaces another")
	}
	add(t, x, 21, "R", late)
	if has(0, Origin{"R", "web1", false}) || has(30, Origin{"R", "web2", false}) {
		t.Error("what is replaced counts for one of its owners")
	}
}

// Whatever is parsed can be added, and is known then.
func FuzzAdd(f *testing.F) {
	f.Add([]byte("NJI0\x00\x01\x00\x00"))
	f.Add(objectOf(random(1), contentOf(0, 50)).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := index.ParseObject(b)
		if err != nil {
			return
		}
		x, err := Open("", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Add(Source{Origin: Origin{Signer: "S"}}, &o); err != nil {
			t.Errorf("parsed, but not added: %v", err)
		}
		for _, r := range o.Runs {
			for _, p := range r.Packs {
				for _, fr := range p.Directory.Frames {
					for _, blob := range fr.Blobs {
						if n, ok, err := x.Has(blob.Key, blob.Type, nil); err != nil || !ok || n > chunk.MaxSize {
							t.Fatalf("blob %x was added, but has %d, %v, %v", blob.Key, n, ok, err)
						}
					}
				}
			}
		}
	})
}
