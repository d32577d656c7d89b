package backuptest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Facts are what the kernel says of a tree's entries, by their paths in it, asked without the packages under test.
type Facts map[string]string

// FactsOf reads a tree at any depth. Hard links are told by the first path of the file.
func FactsOf(t testing.TB, root string) Facts {
	t.Helper()
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	f := Facts{}
	f.read(t, fd, ".", map[[2]uint64]string{})
	return f
}

// Below returns what is in the tree, without the root.
func (f Facts) Below() Facts {
	below := maps.Clone(f)
	delete(below, ".")
	return below
}

// read reads an open directory, and closes it.
func (f Facts) read(t testing.TB, fd int, at string, seen map[[2]uint64]string) {
	t.Helper()
	dir := os.NewFile(uintptr(fd), "directory")
	defer dir.Close()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	f[at] = describe(t, fd, ".", &st)
	names, err := dir.Readdirnames(-1)
	must(t, err)
	slices.Sort(names)
	for _, name := range names {
		here := path.Join(at, name)
		must(t, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW))
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			must(t, err)
			f.read(t, sub, here, seen)
			continue
		}
		f[here] = describe(t, fd, name, &st)
		if st.Nlink > 1 {
			id := [2]uint64{uint64(st.Dev), st.Ino}
			if first := seen[id]; first != "" {
				f[here] += " = " + first
			} else {
				seen[id] = here
			}
		}
	}
}

func describe(t testing.TB, dir int, name string, st *unix.Stat_t) string {
	t.Helper()
	s := fmt.Sprintf("mode %#o owner %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	flags := unix.O_PATH | unix.O_NOFOLLOW
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += fmt.Sprintf(" size %d", st.Size)
		flags = unix.O_RDONLY | unix.O_NOFOLLOW
	case unix.S_IFBLK, unix.S_IFCHR:
		s += fmt.Sprintf(" device %#x", st.Rdev)
	}
	fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += data(t, fd, st.Size)
	case unix.S_IFLNK:
		buf := make([]byte, 8192)
		n, err := unix.Readlinkat(fd, "", buf)
		must(t, err)
		s += fmt.Sprintf(" to %q", buf[:n])
	}
	// A link's attributes can be had by its path only.
	proc := fmt.Sprintf("/proc/self/fd/%d", fd)
	n, err := unix.Listxattr(proc, nil)
	must(t, err)
	list := make([]byte, n)
	n, err = unix.Listxattr(proc, list)
	must(t, err)
	for _, x := range slices.Sorted(strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")) {
		if x == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(proc, x, value)
		must(t, err)
		s += fmt.Sprintf(" %s=%x", x, sha256.Sum256(value[:n]))
	}
	return s
}

// data describes content by where there is data, and its hash.
func data(t testing.TB, fd int, size int64) (s string) {
	t.Helper()
	buf := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; {
		start, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		must(t, err)
		end, err := unix.Seek(fd, start, unix.SEEK_HOLE)
		must(t, err)
		h := sha256.New()
		for at := start; at < end; {
			n, err := unix.Pread(fd, buf[:min(int64(len(buf)), end-at)], at)
			must(t, err)
			if n == 0 {
				break
			}
			h.Write(buf[:n])
			at += int64(n)
		}
		s += fmt.Sprintf(" %d-%d:%x", start, end, h.Sum(nil)[:8])
		off = end
	}
	return s
}

// Same fails for every difference between two trees.
func Same(t testing.TB, got, want Facts) {
	t.Helper()
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if bad > 10 {
			t.Fatal("and so on")
		}
		if got[name] != want[name] {
			t.Errorf("%.200q is\n  %.500s\nnot\n  %.500s", name, got[name], want[name])
			bad++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%.200q should not be there: %.500s", name, got[name])
			bad++
		}
	}
}

// List lists what is below a folder, directories with a slash.
func List(t testing.TB, root string) []string {
	t.Helper()
	names := []string{}
	must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name := strings.TrimPrefix(p, root+"/")
		if d.IsDir() {
			name += "/"
		}
		names = append(names, name)
		return nil
	}))
	return names
}

// Content reads a restored file.
func Content(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return string(bytes.Clone(b))
}
