package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Xattrs returns the extended attributes of any kind of entry, ascending by name, ACLs among them, with tree.ACLNames for their accounts; and tree.BirthTime and tree.Chattr,
// if there is something to say. None is nil: so is a file system that knows none, or does not let us list them. If some cannot be read, the others come with the error.
func (d *Dir) Xattrs(name string) ([]tree.Xattr, error) {
	h, err := d.hold(name)
	if err != nil {
		return nil, fmt.Errorf("read attributes of %s: %w", name, err)
	}
	defer h.close()
	xattrs, err := h.xattrs(name)
	return d.NameACLs(h.withInode(xattrs)), err
}

// XattrsSelf is Xattrs of the directory itself, in two calls to the kernel if there are none.
func (d *Dir) XattrsSelf() ([]tree.Xattr, error) {
	h := handle{fd: d.fd}
	xattrs, err := h.xattrs("directory")
	return d.NameACLs(h.withInode(xattrs)), err
}

// XattrsFile is Xattrs of an open file, in two calls to the kernel if there are none.
func (d *Dir) XattrsFile(f *os.File) ([]tree.Xattr, error) {
	defer runtime.KeepAlive(f)
	h := handle{fd: int(f.Fd())}
	xattrs, err := h.xattrs(f.Name())
	return d.NameACLs(h.withInode(xattrs)), err
}

func (h handle) xattrs(of string) ([]tree.Xattr, error) {
	names, err := h.xattrNames()
	if err != nil {
		return nil, fmt.Errorf("list attributes of %s: %w", of, err)
	}
	var xattrs []tree.Xattr
	var errs []error
	for _, name := range names {
		value, err := h.xattr(name)
		switch {
		case err == unix.ENODATA: // it went meanwhile
		case err != nil:
			errs = append(errs, fmt.Errorf("read attribute %s of %s: %w", name, of, err))
		default:
			xattrs = append(xattrs, tree.Xattr{Name: name, Value: value})
		}
	}
	return xattrs, errors.Join(errs...)
}

// xattrNames returns names ascending.
func (h handle) xattrNames() ([]string, error) {
	var small [512]byte
	list := small[:]
	n, err := h.listXattrs(list)
	for isSmall(list, err) {
		list = make([]byte, 4*len(list))
		n, err = h.listXattrs(list)
	}
	switch err {
	case nil:
	case unix.ENOTSUP, unix.ENOSYS, unix.EPERM:
		return nil, nil
	default:
		return nil, err
	}
	var names []string
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if len(name) > 0 && !passedOver(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// xattr returns one value, never nil.
func (h handle) xattr(name string) ([]byte, error) {
	value := make([]byte, 256)
	n, err := h.getXattr(name, value)
	for isSmall(value, err) {
		value = make([]byte, 4*len(value))
		n, err = h.getXattr(name, value)
	}
	if err != nil {
		return nil, err
	}
	return value[:n:n], nil
}

// isSmall tells whether a call failed for want of a larger buffer, which it may have.
func isSmall(buf []byte, err error) bool {
	return (err == unix.ERANGE || err == unix.E2BIG) && len(buf) < tree.MaxXattrs
}

// passedOver says that an attribute is none of the entry's own. A file system in user space may claim any name, also one that is ours. And XFS shows root
// each ACL a second time, in a form of its own with the same numbers.
func passedOver(name string) bool {
	return strings.HasPrefix(name, tree.Reserved) || name == "trusted.SGI_ACL_FILE" || name == "trusted.SGI_ACL_DEFAULT"
}

// setXattrs makes the attributes be want, which ascend by name, and reports whether it changed any. It leaves alone Begin, and what the system itself puts on
// new files, unless it is wanted otherwise; an ACL that a new entry inherited is not of that kind.
func (h handle) setXattrs(of string, want []tree.Xattr) (changed bool, err error) {
	have, err := h.xattrNames()
	if err != nil {
		return false, fmt.Errorf("list attributes of %s: %w", of, err)
	}
	var errs []error
	for _, name := range have {
		if _, wanted := findXattr(want, name); wanted || !isOurs(name) || name == unfinished {
			continue
		}
		changed = true
		if err := h.removeXattr(name); err != nil && err != unix.ENODATA {
			errs = append(errs, fmt.Errorf("remove attribute %s of %s: %w", name, of, err))
		}
	}
	for i := range want {
		if h.has(have, &want[i]) {
			continue
		}
		changed = true
		if err := h.setXattr(want[i].Name, want[i].Value); err != nil {
			errs = append(errs, fmt.Errorf("set attribute %s of %s: %w", want[i].Name, of, err))
		}
	}
	return changed, errors.Join(errs...)
}

// has reports whether an attribute, of which have are the names, is as it is to be.
func (h handle) has(have []string, x *tree.Xattr) bool {
	if _, found := slices.BinarySearch(have, x.Name); !found {
		return false
	}
	value, err := h.xattr(x.Name)
	return err == nil && bytes.Equal(value, x.Value)
}

func isOurs(name string) bool {
	return isACL(name) || strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.")
}
