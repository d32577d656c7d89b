package local

import "golang.org/x/sys/unix"

// Remove removes an entry; a directory must be empty.
func (d *Dir) Remove(name string) error {
	return d.do("remove", name, func() error { return d.unlink(name) })
}

// removeFile removes an entry that is no directory.
func (d *Dir) removeFile(name string) error {
	return d.do("remove", name, func() error { return unix.Unlinkat(d.fd, name, 0) })
}

func (d *Dir) unlink(name string) error {
	err := unix.Unlinkat(d.fd, name, 0)
	if err == unix.EISDIR || err == unix.EPERM { // the standard's word for it is the latter
		if dirErr := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); dirErr != unix.ENOTDIR {
			return dirErr
		}
	}
	return err
}

// Empty reports whether an entry is a directory with nothing in it, as far as can be seen.
func (d *Dir) Empty(name string) bool {
	sub, err := d.Sub(name)
	if err != nil {
		return false
	}
	defer sub.Close()
	names, err := sub.Names()
	return err == nil && len(names) == 0
}
