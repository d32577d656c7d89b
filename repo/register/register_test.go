package register

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var key = bytes.Repeat([]byte{7}, 32)

func opened(t *testing.T, dir string) *Register {
	t.Helper()
	r, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func note(n byte) Note {
	return Note{ID: ID{n}, Size: int64(n), Time: time.Unix(int64(n), 5), Signer: "S", Issuer: "I", Content: bytes.Repeat([]byte{n}, int(n))}
}

func flush(t *testing.T, r *Register) {
	t.Helper()
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
}

// want checks that these, and no others of n up to 9, are known.
func want(t *testing.T, r *Register, of Group, ns ...byte) {
	t.Helper()
	known := map[byte]bool{}
	for _, n := range ns {
		known[n] = true
		group, at, ok := r.Place(ID{n})
		if !ok || group != of || !at.Equal(note(n).Time) {
			t.Errorf("%d is in %v, of %v, %v", n, group, at, ok)
		}
		got, ok := r.Get(ID{n})
		if !ok || fmt.Sprint(got.Content, got.Signer, got.Issuer, got.Size) != fmt.Sprint(note(n).Content, "S", "I", int64(n)) {
			t.Errorf("%d is %v, %v", n, got, ok)
		}
	}
	for n := range byte(10) {
		if _, ok := r.Get(ID{n}); ok && !known[n] {
			t.Errorf("%d is known", n)
		}
	}
}

func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	a, b := Group{"archive", "web1"}, Group{"archive", "web2"}
	r := opened(t, dir)
	flush(t, r) // nothing
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made for nothing")
	}
	r.Put(a, note(1))
	r.Put(b, note(2))
	flush(t, r)
	r.Put(a, note(3))
	flush(t, r)
	r = opened(t, dir)
	if n, ok := r.Get(ID{2}); !ok || len(n.Content) != 2 {
		t.Errorf("2 is %v, %v", n, ok)
	}
	r.Get(ID{1})
	if _, _, ok := r.Place(ID{2}); !ok || r.Count("archive") != 3 || r.Count("forget") != 0 {
		t.Errorf("there are %d archives", r.Count("archive"))
	}
	r.Retain("forget", func(ID) bool { return false }) // of none
	r.Retain("archive", func(id ID) bool { return id != ID{1} && id != ID{2} })
	flush(t, r)
	r = opened(t, dir)
	want(t, r, a, 3)
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("files are left: %v, %v", files, err)
	}
	r.Put(b, note(3)) // its group was another than was thought
	flush(t, r)
	want(t, opened(t, dir), b, 3)
}

// Two processes may write at once: what one of them wrote may be forgotten, and is never wrong.
func TestTwoProcesses(t *testing.T) {
	dir, of := t.TempDir(), Group{"archive", "web1"}
	one, two := opened(t, dir), opened(t, dir)
	one.Place(ID{})
	two.Place(ID{})
	one.Put(of, note(1))
	two.Put(of, note(2))
	flush(t, one)
	flush(t, two)
	want(t, opened(t, dir), of, 2)
}

// Whatever is in the folder that was not noted under this key is not there.
func TestHostile(t *testing.T) {
	of := Group{"archive", "web1"}
	for name, spoil := range map[string]func(path string) error{
		"flipped":   func(path string) error { return change(path, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) },
		"truncated": func(path string) error { return change(path, func(b []byte) []byte { return b[:len(b)-1] }) },
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"gone":      os.Remove,
		"huge":      func(path string) error { return os.Truncate(path, FileMax+1) },
		"folder":    func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
		"fifo":      func(path string) error { _ = os.Remove(path); return syscall.Mkfifo(path, 0o600) },
		"another's": func(path string) error {
			other, err := Open(filepath.Dir(path), bytes.Repeat([]byte{8}, 32))
			if err == nil {
				other.Put(of, note(1))
				err = other.Flush()
			}
			return err
		},
		"exchanged": func(path string) error {
			all, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
			return change(path, func([]byte) []byte { b, _ := os.ReadFile(all[0]); return b[:len(b):len(b)] })
		},
	} {
		for _, file := range []string{rosterName, of.file()} {
			t.Run(name+"/"+file, func(t *testing.T) {
				dir := t.TempDir()
				r := opened(t, dir)
				r.Put(of, note(1))
				flush(t, r)
				if name == "exchanged" && file != rosterName {
					return // the first file is that one
				}
				if err := spoil(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				r = opened(t, dir)
				if n, ok := r.Get(ID{1}); ok {
					t.Fatalf("it says %v", n)
				}
				r.Put(of, note(1))
				if err := r.Flush(); err != nil {
					if name != "folder" {
						t.Error(err)
					}
					return
				}
				want(t, opened(t, dir), of, 1)
			})
		}
	}
}

func change(path string, f func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, f(b), 0o600)
}

func TestZero(t *testing.T) {
	var r Register
	r.Put(Group{}, note(1))
	r.Retain("", func(ID) bool { return false })
	if _, ok := r.Get(ID{1}); ok || r.Count("") != 0 || r.Flush() != nil {
		t.Error("a register that keeps nothing has kept something")
	}
	if _, err := Open("x", key[:5]); err == nil {
		t.Error("a key of five bytes is taken")
	}
}
