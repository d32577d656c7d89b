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

// Xattrs returns the extended attributes of any kind of entry, ascending by name, ACLs among them. None is nil: so is a file system that
// knows none, or does not let us list them. If some cannot be read, the others come with the error.
func (d *Dir) Xattrs(name string) ([]tree.Xattr, error) {
	h, err := d.hold(name)
	if err != nil {
		return nil, fmt.Errorf("read attributes of %s: %w", name, err)
	}
	defer h.close()
	return h.xattrs(name)
}

// XattrsSelf is Xattrs of the directory itself, in one call to the kernel if there are none.
func (d *Dir) XattrsSelf() ([]tree.Xattr, error) { return handle{fd: d.fd}.xattrs("directory") }

// XattrsFile is Xattrs of an open file, in one call to the kernel if there are none.
func XattrsFile(f *os.File) ([]tree.Xattr, error) {
	defer runtime.KeepAlive(f)
	return handle{fd: int(f.Fd())}.xattrs(f.Name())
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
		if len(name) > 0 && !strings.HasPrefix(name, tree.Reserved) { // a file system in user space may claim any
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

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// setXattrs makes the attributes be want, which ascend by name. It leaves alone what the system itself puts on new files, unless it is wanted
// otherwise; an ACL that a new entry inherited is not of that kind.
func (h handle) setXattrs(of string, want []tree.Xattr) error {
	have, err := h.xattrNames()
	if err != nil {
		return fmt.Errorf("list attributes of %s: %w", of, err)
	}
	var errs []error
	for _, name := range have {
		_, wanted := slices.BinarySearchFunc(want, name, func(x tree.Xattr, name string) int { return strings.Compare(x.Name, name) })
		if wanted || !isOurs(name) {
			continue
		}
		if err := h.removeXattr(name); err != nil && err != unix.ENODATA {
			errs = append(errs, fmt.Errorf("remove attribute %s of %s: %w", name, of, err))
		}
	}
	for _, x := range want {
		if strings.HasPrefix(x.Name, tree.Reserved) {
			continue
		}
		if _, found := slices.BinarySearch(have, x.Name); found {
			if value, err := h.xattr(x.Name); err == nil && bytes.Equal(value, x.Value) {
				continue
			}
		}
		if err := h.setXattr(x.Name, x.Value); err != nil {
			errs = append(errs, fmt.Errorf("set attribute %s of %s: %w", x.Name, of, err))
		}
	}
	return errors.Join(errs...)
}

func isOurs(name string) bool {
	return name == accessACL || name == defaultACL || strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.")
}
