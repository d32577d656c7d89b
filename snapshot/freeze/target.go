package freeze

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/host"
)

// A target is one file system to freeze.
type target struct {
	Path   string // where it is mounted
	Number host.Number
	Above  int `json:",omitempty"` // how many of the others are on it, as on a file of it: those are frozen before it, and thawed after it
}

// maxTargets is more than an instance has volumes.
const maxTargets = 256

// choose returns each file system once, in the order in which they are frozen: what is on another first, and what is mounted later. All are refused if one of them is.
func choose(mounts []host.Mount, o Options) ([]target, error) {
	own, err := ownNumbers(o)
	if err != nil {
		return nil, err
	}
	var targets []target
	var failed error
	for _, m := range slices.Backward(mounts) {
		switch i := slices.IndexFunc(targets, func(t target) bool { return t.Number == m.Number }); {
		case m.Number.Major == 0:
			return nil, fmt.Errorf("%s at %q: %w: it has no block device of its own, as network and pseudo file systems", m.FS, m.Path, ErrRefused)
		case own[m.Number] != "":
			return nil, fmt.Errorf("%s at %q: %w: %s", m.FS, m.Path, ErrRefused, own[m.Number])
		case i < 0:
			targets = append(targets, target{Path: m.Path, Number: m.Number})
		}
	}
	if len(targets) == 0 || len(targets) > maxTargets {
		return nil, fmt.Errorf("%d file systems are to be frozen: from one to %d can be", len(targets), maxTargets)
	}
	for i := range targets {
		if targets[i].Path, err = visible(mounts, targets[i].Number); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	for i := range targets {
		for _, n := range o.Machine.Beneath(targets[i].Number)[1:] {
			if j := slices.IndexFunc(targets, func(t target) bool { return t.Number == n }); j >= 0 {
				targets[j].Above++
			}
		}
	}
	slices.SortStableFunc(targets, func(a, b target) int { return cmp.Compare(a.Above, b.Above) })
	return targets, failed
}

// together returns the targets that are frozen at the same time, in their order: of those none is on another.
func together(targets []target) (levels [][]int) {
	for i, t := range targets {
		if i == 0 || t.Above != targets[i-1].Above {
			levels = append(levels, nil)
		}
		levels[len(levels)-1] = append(levels[len(levels)-1], i)
	}
	return levels
}

// visible returns a path that leads to a file system: others may be hidden below later mounts.
func visible(mounts []host.Mount, n host.Number) (string, error) {
	var failed error
	for _, m := range mounts {
		if m.Number != n {
			continue
		}
		f, err := target{Path: m.Path, Number: n}.open()
		if err == nil {
			f.Close()
			return m.Path, nil
		}
		failed = err
	}
	return "", failed
}

// open opens a file system for as long as it is frozen: so it stays mounted, and nothing has to be looked up to thaw it.
func (t target) open() (*os.File, error) {
	fd, err := unix.Open(t.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", t.Path, err)
	}
	f := os.NewFile(uintptr(fd), t.Path)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %q: %w", t.Path, err)
	}
	kind := stat.Mode & unix.S_IFMT
	if n := (host.Number{Major: unix.Major(stat.Dev), Minor: unix.Minor(stat.Dev)}); n != t.Number || kind != unix.S_IFDIR && kind != unix.S_IFREG {
		f.Close()
		return nil, fmt.Errorf("open %q: another file system is there, %v and not %v", t.Path, n, t.Number)
	}
	return f, nil
}

// ownNumbers returns the file systems that must not be frozen, each with why.
func ownNumbers(o Options) (map[host.Number]string, error) {
	own := map[host.Number]string{}
	add := func(n host.Number, why string) {
		for _, n := range o.Machine.Beneath(n) {
			if own[n] == "" {
				own[n] = why
			}
		}
	}
	root, err := host.NumberOf("/")
	if err != nil {
		return nil, err
	}
	add(root, "it is the root file system, or beneath it")
	for _, path := range append([]string{o.Directory}, o.Own...) {
		n, err := existing(path)
		if err != nil {
			return nil, err
		}
		add(n, fmt.Sprintf("%q is on it, which is written to meanwhile", path))
	}
	for _, f := range o.Files {
		info, err := f.Stat()
		if err != nil {
			return nil, fmt.Errorf("find the file system of %s: %w", f.Name(), err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
			add(host.Number{Major: unix.Major(stat.Dev), Minor: unix.Minor(stat.Dev)}, fmt.Sprintf("%s is a file on it", f.Name()))
		}
	}
	return own, nil
}

// existing returns the file system of a path, or of the folder that it would be made in.
func existing(path string) (host.Number, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return host.Number{}, err
	}
	for {
		n, err := host.NumberOf(path)
		if err == nil || path == "/" || !errors.Is(err, os.ErrNotExist) {
			return n, err
		}
		path = filepath.Dir(path)
	}
}
