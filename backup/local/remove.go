package local

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Remove removes an entry; a directory must be empty.
func (d *Dir) Remove(name string) error {
	return d.do("remove", name, func() error { return d.unlink(name) })
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

// RemoveAll removes an entry with all that is in it. It follows no symbolic link, and what is mounted is an error. An entry that does not exist is
// none. It stops at the first error.
func (d *Dir) RemoveAll(name string) error {
	err := d.Remove(name)
	if !isNotEmpty(err) {
		return ignoreNotExist(err)
	}
	stack := NewStack(d)
	defer stack.Close()
	way := []emptied{{rest: []string{name}}} // one for each directory of stack
	for {
		here := &way[len(way)-1]
		if last := len(here.rest) - 1; last >= 0 {
			entry := here.rest[last]
			here.rest = here.rest[:last]
			err = stack.Top().Remove(entry)
			if isNotEmpty(err) {
				var names []string
				if err = stack.Push(entry); err == nil {
					names, err = stack.Top().Names()
					way = append(way, emptied{entry, names})
				}
			}
		} else {
			if stack.Depth() == 0 {
				return nil
			}
			way = way[:len(way)-1]
			if err = stack.Pop(); err == nil {
				err = stack.Top().Remove(here.name)
			}
		}
		if ignoreNotExist(err) != nil {
			return fmt.Errorf("remove all of %s: %w", name, err)
		}
	}
}

// An emptied directory loses the entries in rest, from the last on, and then itself.
type emptied struct {
	name string
	rest []string
}

func isNotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

func ignoreNotExist(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
