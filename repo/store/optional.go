package store

import (
	"context"
	"encoding/hex"
	"io/fs"
	"path"
	"time"
)

// What some stores can do besides: who needs it asserts the interface.

// ErrArchived says that an object has to be thawed before it can be read, see
// Thawer. It is an ErrUnavailable, since what lies beside it mostly is archived
// as well.
var ErrArchived error = archived{}

type archived struct{}

func (archived) Error() string        { return "object is in an archive storage class" }
func (archived) Is(target error) bool { return target == ErrUnavailable || target == ErrUnread }

// Local is a Store whose objects are files of this machine, in the folder Path.
type Local interface {
	Path() string
}

// Folder is a Store in a folder, where something else may lie besides.
type Folder interface {
	// Entries returns the names of all that lies in a folder of the store, be it an
	// object or not; "" means the store's own. Of one that is missing it is nothing.
	Entries(ctx context.Context, folder string) ([]string, error)
	// Mark makes a file in the store's own folder that is no object, as one who is
	// killed leaves for Sweep. It returns its name, by which Entries has it until remove.
	Mark(ctx context.Context) (name string, remove func() error, err error)
}

// Prober is a Store that finds out what its server can do before anything depends
// on it, so that what is remembered of it is complete.
type Prober interface {
	Probe(ctx context.Context) error
}

// Versioned is a Store that may still have what somebody replaced or deleted.
type Versioned interface {
	// Recover looks for the version of an object that is the right one, the
	// oldest first. If the name ends with a SHA-256, that is the one that has it;
	// else, since the object was written once, the oldest for which right holds,
	// which may be called with anything. From then on the Store reads that version
	// under the name, and tells its time. ErrNotExist says that there is none but what was read anyway.
	Recover(ctx context.Context, name string, right func(data []byte) bool) (Info, error)

	// Recovered returns what Recover has found by now, but where what was read
	// anyway is the same.
	Recovered() []Info

	// Hidden calls f for every object whose name begins with prefix that was
	// deleted, yet is still there: with the Info of its newest version, and when it
	// was deleted. An error of f ends that and is returned as it is.
	Hidden(ctx context.Context, prefix string, f func(i Info, deleted time.Time) error) error
}

// Retainer is a Store that can keep objects from being deleted for a while.
type Retainer interface {
	// Retention is for how long new objects are kept; 0: they are not.
	Retention() time.Duration
	// Retain keeps an object as long as a new one, unless more than half of that
	// time is left anyway, and says whether it had to do anything. It never
	// shortens the time.
	Retain(ctx context.Context, name string) (extended bool, err error)
}

// A ThawState says whether an object can be read.
type ThawState int

// The states.
const (
	Readable ThawState = iota // at once
	Thawing                   // later, without anybody doing anything
	Frozen                    // after Thaw
)

// ThawOptions say how objects are brought back.
type ThawOptions struct {
	Tier string // how fast, in the store's own words; "" means its default
	Days int    // how long they stay readable, at least 1
}

// Thawer is a Store that may keep objects where they have to be brought back
// before they can be read.
type Thawer interface {
	ThawState(ctx context.Context, name string) (ThawState, error)
	// Thaw asks for an object that is Frozen. One that is on its way already is
	// no error.
	Thaw(ctx context.Context, name string, o ThawOptions) error
}

// Nothing is the mode of what has no place in a store; 0 is that of an object.
const Nothing = fs.ModeIrregular

// Cluttered is a Store in which something else can lie where an object or a
// folder of objects belongs. For a Store's methods it is a missing object, but
// List fails where it is in the place of the folder that is listed.
type Cluttered interface {
	// Clutter calls f for each name where something else lies, and what that is.
	// belongs says what has its place there: 0 an object, fs.ModeDir a folder,
	// Nothing anything. An error of f ends that and is returned as it is.
	Clutter(ctx context.Context, belongs func(name string) fs.FileMode, f func(name string, what error) error) error
	// MoveAside gives what does not belong there another name, which is left
	// alone, and returns where it is now; "" if there was no need.
	MoveAside(ctx context.Context, name string, belongs fs.FileMode) (aside string, err error)
}

// Sweeper is a Store in which writers that were killed leave what is no object.
type Sweeper interface {
	// Sweep removes what an unfinished write has left, if that is older than age
	// by the store's own clock, and returns how many.
	Sweep(ctx context.Context, age time.Duration) (removed int, err error)
}

// SumOf returns the SHA-256 that a name ends with, if it ends with one.
func SumOf(name string) (sum [32]byte, ok bool) {
	h := path.Base(name)
	if len(h) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(h))
	return sum, err == nil
}
