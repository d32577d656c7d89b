package store

import (
	"io/fs"
	"math/rand/v2"
	"strconv"
)

// asidePrefix begins the names of what was moved aside. They name no object.
const asidePrefix = ".aside-"

// AsideName returns a new name for what lies in the place of an object or a
// folder of the name base, so that it is left alone. It names no object.
func AsideName(base string) string {
	return asidePrefix + base + "-" + strconv.FormatUint(rand.Uint64(), 36)
}

// clutter is the type of what lies where an object or a folder belongs.
type clutter fs.FileMode

func (c clutter) Error() string {
	what := "something else"
	switch fs.FileMode(c) {
	case 0:
		what = "a file"
	case fs.ModeDir:
		what = "a folder"
	case fs.ModeSymlink:
		what = "a symbolic link, which is not followed,"
	case fs.ModeNamedPipe:
		what = "a FIFO"
	case fs.ModeSocket:
		what = "a socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		what = "a device"
	}
	return what + " is in its place"
}

func (c clutter) Is(target error) bool { return target == ErrClutter }

// MustBe returns nil if something is of the type that belongs in its place, or
// else an ErrClutter that says what it is. Of the modes only the types count.
func MustBe(belongs, is fs.FileMode) error {
	if is.Type() != belongs.Type() {
		return clutter(is.Type())
	}
	return nil
}
