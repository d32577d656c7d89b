// Package where finds out where a path that somebody gave leads, and names that place so that everybody gets there.
//
// The invariant: a path means what the kernel makes of it. ".." after a symbolic link goes up from where the link leads, and a name that is returned leads to the same
// entry, of the same mount, as the path did: device, inode and mount are compared. The package opens and changes nothing.
package where

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const maxLinks = 40 // as the kernel

// A Place is where a path leads.
type Place struct {
	Path    string   // absolute, without ".", ".." and symbolic links, but for those in Through
	Links   []string // symbolic links on the way, named likewise, in order
	Passed  []string // folders on the way that ".." goes up from after a link: without them the links lead nowhere
	Through []string // links of /proc on the way to Path, which lead elsewhere than they say: each is the folder that it leads to
}

// Absolute returns an absolute path that leads where path does, without "." and "..": by the names that were given where that is possible. What does not exist
// is named below the folder where it would be made.
func Absolute(path string) (string, error) {
	raw, err := rooted(path)
	if err != nil {
		return "", err
	}
	clean := filepath.Clean(raw)
	if !slices.Contains(strings.Split(raw, "/"), "..") {
		return clean, nil
	}
	to, err := Resolve(path)
	if err != nil && (to.Path == "" || !errors.Is(err, fs.ErrNotExist)) {
		return "", err
	}
	if by, err := Resolve(clean); by.Path == to.Path && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return clean, nil
	}
	return to.Path, nil
}

// Resolve follows a path as the kernel does. Where something does not exist the error is fs.ErrNotExist, and Path what is missing, if that could be made there. With any
// error Links has those that were followed.
func Resolve(path string) (to Place, err error) {
	raw, err := rooted(path)
	if err != nil {
		return to, err
	}
	at, rest := "/", strings.Split(raw, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(to.Links) > 0 {
				to.Passed = append(to.Passed, at)
			}
			if at, err = parent(at); err != nil {
				return to, err
			}
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && !slices.Contains(rest, "..") {
				to.Path = filepath.Join(append([]string{next}, rest...)...)
			}
			return to, because(err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, plain, err := read(at, next)
		if err != nil {
			return to, err
		}
		if !plain {
			to.Through = append(to.Through, next)
			at = next
			continue
		}
		if to.Links = append(to.Links, next); len(to.Links) > maxLinks {
			return to, unix.ELOOP
		}
		rest = append(strings.Split(target, "/"), rest...)
		if filepath.IsAbs(target) {
			at = "/"
		}
	}
	if there, err := identify(path); err == nil {
		if here, err := identify(at); err != nil || here != there {
			return to, fmt.Errorf("it leads to another place than %s, where its links say", at)
		}
	}
	to.Path = at
	return to, nil
}

// rooted returns a path from the root, with all that it says.
func rooted(path string) (string, error) {
	if path == "" {
		return "", errors.New("it is empty")
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir, err := os.Getwd() // as the shell calls it, if that leads here
	if err != nil {
		return "", fmt.Errorf("find the current folder: %w", err)
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("the current folder has no path: %s", dir)
	}
	return dir + "/" + path, nil
}

// parent returns the folder that the kernel finds above one that is named without links.
func parent(at string) (string, error) {
	above, err := identify(at + "/..")
	if err != nil {
		return "", err
	}
	for _, up := range []string{filepath.Dir(at), at} { // the latter at the root of another mount namespace
		if id, err := identify(up); err == nil && id == above {
			return up, nil
		}
	}
	return "", fmt.Errorf("the folder above %s has no path", at)
}

// read returns what a symbolic link in a folder says. plain reports whether it leads there: links of /proc lead to what they stand for, which may
// be in another mount namespace.
func read(dir, link string) (target string, plain bool, err error) {
	if target, err = os.Readlink(link); err != nil {
		return "", false, because(err)
	}
	var system unix.Statfs_t
	if err := unix.Statfs(dir, &system); err != nil {
		return "", false, err
	}
	if system.Type != unix.PROC_SUPER_MAGIC {
		return target, true, nil
	}
	said := target
	if !filepath.IsAbs(said) {
		said = dir + "/" + said
	}
	there, err := identify(link)
	if err != nil {
		return "", false, err
	}
	if id, err := identify(said); err == nil && id == there {
		return target, true, nil
	}
	if info, err := os.Stat(link); err != nil || !info.IsDir() {
		return "", false, fmt.Errorf("the link %s leads to something that has no path", link)
	}
	return target, false, nil
}

// An identity is an entry as the kernel knows it.
type identity struct {
	device       [2]uint32
	inode, mount uint64
}

// identify follows a path to its end.
func identify(path string) (identity, error) {
	var st unix.Statx_t
	for {
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_MNT_ID, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return identity{}, err
		}
	}
	id := identity{device: [2]uint32{st.Dev_major, st.Dev_minor}, inode: st.Ino}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		id.mount = st.Mnt_id
	}
	return id, nil
}

// because returns what the kernel says, without the call and the path, which the caller names.
func because(err error) error {
	var call *fs.PathError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
