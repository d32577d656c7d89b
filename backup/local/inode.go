package local

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// chattr is what is saved of what chattr sets: its letter, how statx says it, and how it is set. In the order of the letters.
var chattr = []struct {
	letter byte
	statx  uint64
	flag   int
}{
	{'a', unix.STATX_ATTR_APPEND, 0x20},
	{'d', unix.STATX_ATTR_NODUMP, 0x40},
	{'i', unix.STATX_ATTR_IMMUTABLE, 0x10},
}

func (h handle) statx(mask int) (st unix.Statx_t, err error) {
	err = retry(func() error { return unix.Statx(h.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, mask, &st) })
	return st, err
}

func letters(attributes uint64) string {
	var s []byte
	for _, c := range chattr {
		if attributes&c.statx != 0 {
			s = append(s, c.letter)
		}
	}
	return string(s)
}

// withInode returns attributes with tree.BirthTime and tree.Chattr among them, as far as the file system knows.
func (h handle) withInode(xattrs []tree.Xattr) []tree.Xattr {
	st, err := h.statx(unix.STATX_BTIME)
	if err != nil {
		return xattrs
	}
	add := func(name string, value []byte) {
		at, _ := findXattr(xattrs, name)
		xattrs = slices.Insert(xattrs, at, tree.Xattr{Name: name, Value: value})
	}
	if st.Mask&unix.STATX_BTIME != 0 && (st.Btime.Sec != 0 || st.Btime.Nsec != 0) {
		add(tree.BirthTime, tree.EncodeBirth(tree.Time{Sec: st.Btime.Sec, Nsec: st.Btime.Nsec}))
	}
	if s := letters(st.Attributes); s != "" {
		add(tree.Chattr, []byte(s))
	}
	return xattrs
}

// NoDump reports whether chattr +d was said of an entry.
func (d *Dir) NoDump(name string) bool {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(d.fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_DONT_SYNC, 0, &st)
	})
	return err == nil && st.Attributes&unix.STATX_ATTR_NODUMP != 0
}

// HasFlags reports whether Protect has something to do for an entry.
func (a *Applier) HasFlags(n *tree.Node) bool { return a.Flags && wantedFlags(n) != 0 }

func wantedFlags(n *tree.Node) (flags int) {
	if !n.IsRegular() && !n.IsDir() {
		return 0
	}
	saved := n.Chattr()
	for _, c := range chattr {
		if strings.IndexByte(saved, c.letter) >= 0 {
			flags |= c.flag
		}
	}
	return flags
}

// Protect sets what chattr had set of an entry. It comes after all else, also after the links to a file: nobody can make any to one that is immutable. The
// entry has to be the one that was meant, else: ErrOther. What chattr has set besides stays.
func (a *Applier) Protect(d *Dir, name string, meant FileID, n *tree.Node) error {
	h, err := d.hold(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer h.close()
	if id, err := h.id(); err != nil || id != meant {
		return fmt.Errorf("change %s: %w", name, cmp.Or(err, ErrOther))
	}
	return a.protect(h, name, n)
}

// lacks returns which flags of n an entry does not have.
func (a *Applier) lacks(h handle, n *tree.Node) int {
	if !a.HasFlags(n) {
		return 0
	}
	lacks := wantedFlags(n)
	st, err := h.statx(0)
	for _, c := range chattr {
		if err == nil && st.Attributes&c.statx != 0 {
			lacks &^= c.flag
		}
	}
	return lacks
}

// protect sets the flags that n has, and an entry has not. What is held is opened for that: only files and directories are.
func (a *Applier) protect(h handle, name string, n *tree.Node) error {
	lacks := a.lacks(h, n)
	if lacks == 0 {
		return nil
	}
	fd := h.fd
	if h.path != "" {
		var err error
		if fd, err = openQuietly(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(h.fd), unix.O_RDONLY|unix.O_NONBLOCK); err != nil {
			return fmt.Errorf("set what chattr had set of %s: %w", name, err)
		}
		defer unix.Close(fd)
	}
	var flags uint32
	err := retry(func() (err error) {
		flags, err = unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		return err
	})
	if err == nil {
		err = retry(func() error { return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags)|lacks) })
	}
	if errors.Is(err, unix.ENOTTY) {
		err = unix.ENOTSUP
	}
	if err != nil {
		return fmt.Errorf("set what chattr had set of %s (%s): %w", name, n.Chattr(), err)
	}
	return nil
}
