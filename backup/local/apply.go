package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Ownership says who is to own what is put back.
type Ownership int

const (
	// ByName is the user and the group of the same name, or of the same id where there is no such name.
	ByName Ownership = iota
	// Numeric is the same ids.
	Numeric
	// None leaves the owner alone: whoever is not root can do no better.
	None
)

// An Applier gives back to entries what Stat and Xattrs told of them. Its methods may be used by several goroutines at once.
//
// They do all that can be done, and return together the errors of what could not. A set-id bit comes back to a regular file only if
// the owner, or the group, that it stands for did.
type Applier struct {
	Owners    *Owners // for ByName; nil: by id
	Ownership Ownership
	Xattrs    bool // set the attributes, and remove others; Node.Xattrs has to hold large ones, too
}

// File gives an open file back its owner, attributes, mode and mtime, which is also its access time. It comes after the
// last write, which would change them.
func (a *Applier) File(f *os.File, n *tree.Node) error {
	defer runtime.KeepAlive(f)
	return a.apply(handle{fd: int(f.Fd())}, f.Name(), n)
}

// Dir is File for a directory. It comes after the last entry was made.
func (a *Applier) Dir(d *Dir, n *tree.Node) error {
	return a.apply(handle{fd: d.fd}, "directory", n)
}

// Entry is File for an entry that is not opened for that: a symbolic link, a device, a FIFO, a socket.
func (a *Applier) Entry(d *Dir, name string, n *tree.Node) error {
	h, err := d.hold(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer h.close()
	return a.apply(h, name, n)
}

func (a *Applier) apply(h handle, name string, n *tree.Node) error {
	var st unix.Stat_t
	if err := fstat(h.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&tree.TypeMask != n.Type() {
		return fmt.Errorf("restore attributes of %s: it is of another type", name)
	}
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("set %s of %s: %w", what, name, err))
		}
	}
	// To change the owner clears set-id bits and capabilities; who is not root can set no attribute once the file is read-only.
	mode, changed, err := a.setOwner(h, &st, n)
	note("owner", err)
	if a.Xattrs {
		if n.XattrContents != nil && len(n.Xattrs) == 0 {
			note("attributes", errors.New("not loaded"))
		} else if err := h.setXattrs(name, n.Xattrs); err != nil {
			errs = append(errs, err)
		}
		changed = changed || len(n.Xattrs) > 0
	}
	if !n.IsSymlink() && (changed || mode != st.Mode&^tree.TypeMask) {
		note("mode", h.chmod(mode))
	}
	note("time", h.setTime(n.Mtime))
	return errors.Join(errs...)
}

// noID is what chown takes for "leave it".
const noID = 1<<32 - 1

// setOwner returns the mode that goes with the owner that it achieved, and whether it changed anything.
func (a *Applier) setOwner(h handle, st *unix.Stat_t, n *tree.Node) (mode uint32, changed bool, err error) {
	uid, gid := n.Owner.UID, n.Owner.GID
	if a.Ownership != Numeric {
		uid, gid = a.Owners.ids(n.Owner)
	}
	mode = n.Mode &^ tree.TypeMask
	sameUser, sameGroup := uid == st.Uid, gid == st.Gid
	if !(sameUser && sameGroup) && a.Ownership != None {
		if uid == noID || gid == noID {
			err = fmt.Errorf("%d:%d: %w", uid, gid, unix.EINVAL)
		} else {
			err = h.chown(uid, gid)
		}
		if err == nil {
			return mode, true, nil
		}
	}
	if n.IsRegular() && !sameUser {
		mode &^= unix.S_ISUID
	}
	if n.IsRegular() && !sameGroup {
		mode &^= unix.S_ISGID
	}
	return mode, false, err
}
