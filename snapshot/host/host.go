// Package host knows the machine that it runs on: which instance of EC2 it is, which of its block devices is which EBS volume, and what is mounted of them.
//
// A volume is found by what its device says of itself, as NVMe devices do, or by the link that udev has made of that; a device of Xen by its name alone.
//
// The invariant: a device is never guessed. What the kernel, udev and mount tables say is hostile until it has been parsed; a volume whose file systems cannot be told
// from it, as a member of LVM, md or dm-crypt, is refused by name.
//
// The package changes nothing and mounts nothing. See freeze for what is done with mounts.
package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrNoDevice says that a volume has no block device here.
	ErrNoDevice = errors.New("the volume has no block device on this machine")
	// ErrStacked says that a device is a part of another one, whose file systems are on more than it.
	ErrStacked = errors.New("the device is a part of another one")
	// ErrUnseen says that a device is in use, and that nothing here says by what.
	ErrUnseen = errors.New("the device is in use by what is not seen here: swap, or a mount of another mount namespace")
	// ErrMetadata says that instance metadata did not answer as it does on an instance of EC2.
	ErrMetadata = errors.New("no instance metadata")
)

// A Machine is where to look. The zero value is the machine that runs this.
type Machine struct {
	Root string // the folder that stands for /, in tests; empty: /
}

func (m Machine) path(elements ...string) string {
	return filepath.Join("/", m.Root, filepath.Join(elements...))
}

// A Number is what the kernel calls a device, or a file system that has none. The zero value is none.
type Number struct {
	Major, Minor uint32
}

// String returns it as the kernel writes it, such as 259:0.
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// ParseNumber parses what String returns.
func ParseNumber(text string) (Number, error) {
	first, second, _ := strings.Cut(text, ":")
	major, err := strconv.ParseUint(first, 10, 32)
	minor, wrong := strconv.ParseUint(second, 10, 32)
	n := Number{uint32(major), uint32(minor)}
	if err != nil || wrong != nil || n.String() != text {
		return Number{}, fmt.Errorf("%.40q is no device number", text)
	}
	return n, nil
}

// NumberOf returns the device of the file system that a path leads to.
func NumberOf(path string) (Number, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return Number{}, fmt.Errorf("find the file system of %q: %w", path, err)
	}
	return numberFrom(stat.Dev), nil
}

func numberFrom(dev uint64) Number { return Number{unix.Major(dev), unix.Minor(dev)} }
