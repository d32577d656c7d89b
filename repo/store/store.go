// Package store says what keeps immutable objects by name: a directory, a bucket or whatever
// else a Store can be made of.
//
// Everything a repository consists of goes through this one narrow interface,
// so that what holds for one kind of store holds for all. The invariant: an
// object is created whole or not at all, is durable when Put returns, and never
// changes afterwards (Replacer heals what a bad disk has changed); so any number of hosts may write at the same time without
// a lock, and a killed writer leaves nothing that a reader could see.
//
// A new kind of store is a package beside directory and s3, with a variable of type Kind, and
// a line for that in the table of cmd/nightjar/internal/place/kinds.go; doc/ says
// what it promises. storetest.Run tells whether it is a Store; what else it can
// do it says by the interfaces of this package that it has.
//
// The package does not look into objects, does not verify them against their
// names, does not encrypt and does not retry.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxObject is the size in bytes of the largest object that a store keeps.
const MaxObject = 64 << 20

var (
	// ErrExists says that Put found other content under the name.
	ErrExists = errors.New("object exists with other content")
	// ErrNotExist says that no object has the name.
	ErrNotExist = errors.New("object does not exist")
	// ErrUnread says that it could not be looked whether an object is there, or
	// what is in it: it may be whole.
	ErrUnread = errors.New("it could not be looked at")
	// ErrNoStore says that the store itself is missing: no such directory, or
	// not a directory. It is an ErrUnread.
	ErrNoStore error = unread("no store")
	// ErrUnavailable says that not one object but the store is out of reach:
	// whatever else is asked of it now will fail as well. It is an ErrUnread.
	ErrUnavailable error = unread("store is not available")
	// ErrClutter says that something of another type is in the place of an
	// object, which counts as missing, or of a folder of objects.
	ErrClutter = errors.New("something else is in its place")
	// ErrName says that a name or prefix is malformed.
	ErrName = errors.New("malformed object name")
	// ErrTooLarge says that an object exceeds MaxObject or the caller's bound.
	ErrTooLarge = errors.New("object too large")
)

type unread string

func (u unread) Error() string        { return string(u) }
func (u unread) Is(target error) bool { return target == ErrUnread }

// Unread makes an error an ErrUnread, and leaves its text as it is.
func Unread(err error) error { return &unreadError{err} }

type unreadError struct{ error }

func (u *unreadError) Unwrap() error        { return u.error }
func (u *unreadError) Is(target error) bool { return target == ErrUnread }

// Info is what a store knows about an object.
type Info struct {
	Name string
	Size int64     // in bytes
	Time time.Time // when it was stored, by the store's own clock
}

// Store keeps immutable objects by name. All methods may be called
// concurrently, take every name that ValidName allows, however long, and refuse
// others with ErrName, return errors that name the object, and give up when ctx ends. A name of one object is
// never a folder of another's: with "a" there is no "a/b".
type Store interface {
	// Put creates an object. It is there as a whole, and durable, when Put
	// returns nil; after an error it is there as a whole or not at all. When
	// the name exists, Put succeeds if the content is the same (Info is then
	// that of the first Put) and fails with ErrExists otherwise. More than
	// MaxObject bytes fail with ErrTooLarge. Put does not keep data.
	Put(ctx context.Context, name string, data []byte) (Info, error)

	// Stat returns an object's Info, or ErrNotExist.
	Stat(ctx context.Context, name string) (Info, error)

	// GetInto fills buf with the object's bytes from offset on. An object that
	// ends before buf is full fails with io.ErrUnexpectedEOF, and a missing
	// one with ErrNotExist; what buf holds after an error is undefined.
	GetInto(ctx context.Context, name string, offset int64, buf []byte) error

	// List calls f once for every object whose name begins with prefix, in any
	// order; "" means all. What is not an object (other names, unfinished
	// writes) is left out. Objects stored or deleted meanwhile may or may not
	// be seen. What cannot be listed to its end is an error, whatever f was told
	// before; only a prefix below which nothing was ever stored lists nothing.
	// An error of f ends the listing and is returned as it is. f may call the
	// store.
	List(ctx context.Context, prefix string, f func(Info) error) error

	// Delete removes an object, or returns ErrNotExist. A crash of the store's
	// machine may undo a deletion that has just returned.
	Delete(ctx context.Context, name string) error
}

// Clock is a Store that can tell its own time.
type Clock interface {
	// Now returns the time that the store would give an object stored now. It
	// fails where the store cannot be written.
	Now(ctx context.Context) (time.Time, error)
}

// Replacer is a Store that can put an object back whose bytes are lost: the one
// exception to that objects never change. The caller has made sure that nobody
// could use what is stored, and that data is what the name stands for.
type Replacer interface {
	// Replace is Put, and other content under the name gives way to data in one
	// step. at becomes its home time, as with PutAt.
	Replace(ctx context.Context, name string, data []byte, at time.Time) (Info, error)
}

// Carrier is a Store that can hold copies of another's objects, each with its
// home time: the time that it has there. In a directory that is the time that
// Info tells, too, in whole seconds where it tells no others; HomeTime has the answer everywhere.
type Carrier interface {
	Store
	// PutAt is Put for an object that was stored at home at that time; a zero
	// time means now. The home time of one that exists stays as it is.
	PutAt(ctx context.Context, name string, data []byte, at time.Time) (Info, error)
}

// Fetcher is a Carrier whose server can take an object from another store
// itself, so that its bytes do not pass through this machine.
type Fetcher interface {
	// Fetch is PutAt for an object of another store that is named by the SHA-256
	// of its content. It verifies that hash, and leaves nothing that does not
	// have it. When the two stores have no way to each other, the error is
	// errors.ErrUnsupported.
	Fetch(ctx context.Context, from Store, name string, at time.Time) error
}

// Dated is a Store whose listings and Stat do not tell home times.
type Dated interface {
	// HomeTime returns the time that the object had where it was copied from, and
	// info.Time if it was stored here first. It may have to ask.
	HomeTime(ctx context.Context, info Info) (time.Time, error)
}

// Claimer is a Dated Store where everybody who can write can give objects any
// home time. So home times count only after TrustTimes, which is for whoever has
// seen that the claim to be a copy is true.
type Claimer interface {
	// Place names the store; no other of its kind has that name.
	Place() string
	// SetClaim stores what says that this is a copy. Claim returns it, and when
	// it was stored here; nil if there is none.
	SetClaim(ctx context.Context, claim []byte) error
	Claim(ctx context.Context) (claim []byte, stored time.Time, err error)
	TrustTimes()
}

// HomeTime returns the home time of an object that s listed.
func HomeTime(ctx context.Context, s Store, info Info) (time.Time, error) {
	if d, ok := s.(Dated); ok {
		return d.HomeTime(ctx, info)
	}
	return info.Time, nil
}

// Checksummer is a Store that knows the SHA-256 of its objects without sending
// them; ok is false for one of which it does not.
type Checksummer interface {
	Checksum(ctx context.Context, name string) (sum [32]byte, ok bool, err error)
}

// ReadAll returns the whole content of an object, ErrTooLarge if that is more
// than max bytes (or MaxObject; max <= 0 means MaxObject).
func ReadAll(ctx context.Context, s Store, name string, max int64) ([]byte, error) {
	if max <= 0 || max > MaxObject {
		max = MaxObject
	}
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Size > max {
		return nil, fmt.Errorf("read object %s: %d bytes, at most %d expected: %w", name, info.Size, max, ErrTooLarge)
	}
	buf := make([]byte, info.Size)
	if err := s.GetInto(ctx, name, 0, buf); err != nil {
		return nil, err
	}
	return buf, nil
}
