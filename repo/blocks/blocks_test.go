package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// remote is a store that counts what it is asked, and refuses ranges that touch a bad byte.
type remote struct {
	objects map[string][]byte
	asked   atomic.Int64
	bad     int64 // offset; 0: none
}

func (r *remote) GetInto(_ context.Context, name string, offset int64, p []byte) error {
	r.asked.Add(1)
	data, ok := r.objects[name]
	if !ok || offset < 0 || offset+int64(len(p)) > int64(len(data)) {
		return fmt.Errorf("no bytes %d+%d in %s", offset, len(p), name)
	}
	if r.bad > 0 && offset <= r.bad && r.bad < offset+int64(len(p)) {
		return errors.New("bad sector")
	}
	copy(p, data[offset:])
	return nil
}

func (r *remote) add(seed byte, size int) Object {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	sum := sha256.Sum256(data)
	name := fmt.Sprintf("metadata/%x", sum)
	if r.objects == nil {
		r.objects = map[string][]byte{}
	}
	r.objects[name] = data
	return Object{sum, name, int64(size)}
}

// wants reads a range and compares it with what the store has.
func (r *remote) wants(t *testing.T, c *Cache, x Object, start, length int64) {
	t.Helper()
	got, err := c.Read(context.Background(), x, start, length, []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("before"), r.objects[x.Name][start:start+length]...); !bytes.Equal(got, want) {
		t.Fatalf("%d+%d of %s is not what it should be", start, length, x.Name)
	}
}

func files(t *testing.T, dir string) (names []string, sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names, sum = append(names, filepath.Join(dir, e.Name())), sum+info.Size()
	}
	return names, sum
}

// again returns a Cache of another run, which must not warn.
func again(t *testing.T, r *remote, dir string, limit int64) *Cache {
	return New(r, Options{Dir: dir, Limit: limit, Warn: func(err error) { t.Error("warned: ", err) }})
}

func TestRead(t *testing.T) {
	r := new(remote)
	x := r.add(1, 5*Size/2)
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "a", "b")} {
		c := again(t, r, dir, 1<<30)
		for _, part := range [][2]int64{{0, 0}, {0, 1}, {5, 100}, {Size - 1, 2}, {0, x.Size}, {x.Size - 1, 1}, {x.Size, 0}, {Size, Size}, {100, 2 * Size}} {
			r.wants(t, c, x, part[0], part[1])
		}
		for _, part := range [][2]int64{{-1, 2}, {0, -1}, {0, x.Size + 1}, {x.Size + 1, 0}, {x.Size, 1}, {1 << 62, 1 << 62}} {
			if _, err := c.Read(context.Background(), x, part[0], part[1], nil); err == nil {
				t.Errorf("%d+%d of %d bytes was read", part[0], part[1], x.Size)
			}
		}
	}
}

func TestAnotherRunAsksNothing(t *testing.T) {
	r, dir := new(remote), t.TempDir()
	read, kept := r.add(1, 3*Size), r.add(2, Size+5)
	c := again(t, r, dir, 1<<30)
	r.wants(t, c, read, 10, 2*Size)
	c.Keep(kept, r.objects[kept.Name])
	if n := r.asked.Swap(0); n != 3 {
		t.Fatalf("%d requests for three blocks", n)
	}
	c = again(t, r, dir, 1<<30)
	r.wants(t, c, read, 0, 3*Size)
	r.wants(t, c, kept, 0, kept.Size)
	if n := r.asked.Load(); n != 0 {
		t.Fatalf("%d requests for what is known", n)
	}
}

func TestSpoiledFiles(t *testing.T) {
	r, dir := new(remote), t.TempDir()
	x := r.add(1, 2*Size)
	spoil := map[string]func(name string) error{
		"truncated": func(name string) error { return os.Truncate(name, 100) },
		"longer":    func(name string) error { return os.Truncate(name, 2*Size) },
		"empty":     func(name string) error { return os.Truncate(name, 0) },
		"a folder":  func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
		"a loop":    func(name string) error { return errors.Join(os.Remove(name), os.Symlink(name, name)) },
		"a device":  func(name string) error { return errors.Join(os.Remove(name), os.Symlink("/dev/zero", name)) },
	}
	for what, f := range spoil {
		t.Run(what, func(t *testing.T) {
			c := New(r, Options{Dir: dir, Limit: 1 << 30}) // which may say that it cannot write there
			r.wants(t, c, x, 0, x.Size)
			names, _ := files(t, dir)
			for _, name := range names {
				if err := f(name); err != nil {
					t.Fatal(err)
				}
			}
			r.wants(t, New(r, Options{Dir: dir, Limit: 1 << 30}), x, 0, x.Size)
			for _, name := range names {
				os.RemoveAll(name)
			}
		})
	}
}

// What passes for a block and is none, the caller finds out.
func TestForget(t *testing.T) {
	r, dir := new(remote), t.TempDir()
	x := r.add(1, 3*Size)
	again(t, r, dir, 1<<30).Keep(x, make([]byte, x.Size))
	c := again(t, r, dir, 1<<30)
	if got, err := c.Read(context.Background(), x, 5, Size, nil); err != nil || !bytes.Equal(got, make([]byte, Size)) {
		t.Fatalf("the folder is not read: %v", err)
	}
	c.Forget(x, 5, Size)
	r.wants(t, c, x, 5, Size)
	r.wants(t, again(t, r, dir, 1<<30), x, 5, Size)
	if n := r.asked.Load(); n != 2 {
		t.Fatalf("%d requests for two blocks", n)
	}
}

func TestBadNeighbours(t *testing.T) {
	r := new(remote)
	x := r.add(1, 2*Size)
	r.bad = Size + 10
	c := again(t, r, "", 0)
	r.wants(t, c, x, Size+11, 100)
	r.wants(t, c, x, 0, Size)
	if _, err := c.Read(context.Background(), x, Size, 100, nil); err == nil {
		t.Fatal("bad bytes were read")
	}
}

func TestLimit(t *testing.T) {
	r, dir := new(remote), t.TempDir()
	foreign := filepath.Join(dir, "notes")
	if err := os.WriteFile(foreign, make([]byte, Size), 0o600); err != nil {
		t.Fatal(err)
	}
	const limit = 10 * Size
	c := again(t, r, dir, limit)
	var objects []Object
	for i := range 30 {
		x := r.add(byte(i), Size)
		objects = append(objects, x)
		r.wants(t, c, x, 0, Size)
		old := time.Now().Add(time.Duration(i-1000) * time.Hour)
		if err := os.Chtimes(c.path(key{x.Sum, 0}), old, old); err != nil {
			t.Fatal(err)
		}
		r.wants(t, again(t, r, dir, limit), objects[0], 0, Size) // used again and again, so that it stays
		if _, sum := files(t, dir); sum > limit+Size {
			t.Fatalf("%d bytes after %d blocks", sum, i)
		}
	}
	asked := r.asked.Load()
	c = again(t, r, dir, limit)
	for _, x := range []Object{objects[0], objects[28], objects[29]} {
		r.wants(t, c, x, 0, Size)
	}
	if n := r.asked.Load() - asked; n != 0 {
		t.Fatalf("%d of what was used last is gone", n)
	}
	again(t, r, dir, 2*Size)
	if _, sum := files(t, dir); sum > 3*Size {
		t.Fatalf("a smaller limit leaves %d bytes", sum)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Fatal("a file that is no block is gone")
	}
	again(t, r, t.TempDir(), 5).Keep(objects[0], r.objects[objects[0].Name])
	if off := again(t, r, filepath.Join(dir, "off"), 0); off.o.Dir != "" {
		t.Fatal("with no limit there is a folder")
	}
}

// A folder that takes nothing is worth one warning.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: must be root")
	}
	r, dir := new(remote), t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	x := r.add(1, 8*Size)
	warnings := 0
	for range 3 {
		c := New(r, Options{Dir: dir, Limit: 1 << 30, Warn: func(err error) {
			if !errors.Is(err, unix.ENOSPC) {
				t.Error(err)
			}
			warnings++
		}})
		r.wants(t, c, x, 0, x.Size)
		c.Keep(x, r.objects[x.Name])
	}
	if warnings != 3 {
		t.Errorf("%d warnings in three runs", warnings)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	warnings = 0
	c := New(r, Options{Dir: filepath.Join(file, "dir"), Limit: 1 << 30, Warn: func(error) { warnings++ }})
	r.wants(t, c, x, 0, x.Size)
	if warnings != 1 {
		t.Errorf("%d warnings about a folder that cannot be", warnings)
	}
}

func TestTogether(t *testing.T) {
	r, dir := new(remote), t.TempDir()
	var objects []Object
	for i := range 12 {
		objects = append(objects, r.add(byte(i), Size/2+i))
	}
	var g sync.WaitGroup
	for range 3 {
		c := again(t, r, dir, 4*Size)
		for range 3 {
			g.Go(func() {
				for range 60 {
					x := objects[rand.N(len(objects))]
					got, err := c.Read(context.Background(), x, 3, x.Size-3, nil)
					if err != nil {
						t.Error(err)
					}
					if !bytes.Equal(got, r.objects[x.Name][3:]) { // may be torn while another process writes it
						c.Forget(x, 3, x.Size-3)
					}
					if rand.N(9) == 0 {
						c.Forget(x, 0, x.Size)
					}
				}
			})
		}
	}
	g.Wait()
	for _, x := range objects {
		c := again(t, r, dir, 4*Size)
		if got, err := c.Read(context.Background(), x, 0, x.Size, nil); err != nil || !bytes.Equal(got, r.objects[x.Name]) {
			t.Fatalf("what is left is wrong: %v", err)
		}
	}
}
