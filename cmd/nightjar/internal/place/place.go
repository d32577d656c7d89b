// Package place finds what a repository's URL means: it parses it, names it, and opens or makes the directory, bucket or what else is there, as the options of a command line say.
//
// The invariant: no error repeats a URL, which may hold a password, before it is known to be none.
package place

import (
	"context"
	"io"
	"maps"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/store"
)

// Options say how places are reached.
type Options struct {
	Bucket      Bucket
	Servers     Servers                  // where it is remembered what they do
	Connections int                      // objects sent or read at the same time; 0: as many as suit the place
	Now         func() time.Time         // never nil
	Getenv      func(name string) string // nil: an environment that is empty
	Warn        func(error)              // told of what is wrong but stops nothing; never nil
}

// Parse parses a repository's URL. Its errors repeat nothing that may hold a password.
func Parse(url string) (store.Location, error) {
	l, err := store.ParseLocation(url)
	if err != nil && !strings.Contains(url, "://") {
		return l, usage.Errorf("%w: %s are supported", err, Forms())
	}
	if err != nil {
		return l, usage.Error{Err: err}
	}
	k, ok := lookUp(l.Scheme)
	if !ok {
		return l, usage.Errorf("repository %s://…: only %s are supported", l.Scheme, Forms())
	}
	if k.Parse == nil {
		return l, nil
	}
	parsed, err := k.Parse(l)
	if err != nil {
		return l, usage.Errorf("repository %s://…: %w", l.Scheme, err)
	}
	return parsed, nil
}

// Directory returns the place that is a folder of this machine.
func Directory(path string) store.Location {
	return store.Location{Scheme: store.SchemeFile, Path: path}
}

// Folder returns the folder of this machine that a place is; "" for one that is elsewhere.
func Folder(l store.Location) string {
	if kindOf(l).local {
		return l.Path
	}
	return ""
}

// Shown returns a place as people write it.
func Shown(l store.Location) string {
	if path := Folder(l); path != "" {
		return path
	}
	return l.Scheme + "://" + l.Path
}

// Name is what this machine calls a place: another server has another bucket of that name.
func (o *Options) Name(ctx context.Context, l store.Location) string {
	if k := kindOf(l); k.name != nil {
		return k.name(ctx, o, l)
	}
	return Shown(l)
}

// Address is what a recovery kit says after --repo: with it, another machine finds the repository.
func (o *Options) Address(ctx context.Context, l store.Location) string {
	if k := kindOf(l); k.address != nil {
		return k.address(ctx, o, l)
	}
	return o.Name(ctx, l)
}

// Beside returns how a copy is reached of which a command line says b: as the repository is, where nothing else is said.
func (o *Options) Beside(l store.Location, b Bucket) (*Options, error) {
	k := kindOf(l)
	if err := k.allow(&b, l); err != nil {
		return nil, err
	}
	there := *o
	there.Bucket = b
	if k.inherit != nil {
		there.Bucket.Settings = maps.Clone(b.Settings)
		k.inherit(&there.Bucket, &o.Bucket)
	}
	return &there, nil
}

// CheckConnections refuses a number of connections that is none, or too many.
func (o *Options) CheckConnections() error {
	const most = 64 // each has a pack in memory
	if o.Connections < 0 || o.Connections > most {
		return usage.Errorf("--connections %d: 1 to %d", o.Connections, most)
	}
	return nil
}

// Check looks at what is said of a place, without asking it.
func (o *Options) Check(l store.Location) error {
	k := kindOf(l)
	if err := k.allow(&o.Bucket, l); err != nil {
		return err
	}
	if err := o.CheckConnections(); err != nil {
		return err
	}
	if _, err := o.Bucket.CacheBytes(); err != nil {
		return err
	}
	if k.bucket {
		_, err := o.s3Options()
		return err
	}
	_, _, err := o.Bucket.limits()
	return err
}

// Open opens what is at a place; end its use with Close.
func (o *Options) Open(ctx context.Context, l store.Location) (store.Carrier, error) {
	return o.open(ctx, l, false)
}

// Create is Open for a place that is made if it is missing.
func (o *Options) Create(ctx context.Context, l store.Location) (store.Carrier, error) {
	return o.open(ctx, l, true)
}

func (o *Options) open(ctx context.Context, l store.Location, create bool) (store.Carrier, error) {
	k := kindOf(l)
	if err := k.allow(&o.Bucket, l); err != nil {
		return nil, err
	}
	if err := o.CheckConnections(); err != nil {
		return nil, err
	}
	return k.open(ctx, o, l, create)
}

func (o *Options) getenv(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// Close ends the use of a store.
func Close(s store.Store) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close() // all that matters is durable
	}
}

// Requests returns how many requests of each kind were sent to a store; nil if it is none that is asked by requests.
func Requests(s store.Store) map[string]uint64 {
	if c, ok := s.(interface{ Requests() map[string]uint64 }); ok {
		return c.Requests()
	}
	return nil
}

// NeedsClaim reports whether a copy at a URL begins with a claim that a recovery key signs.
func NeedsClaim(url string) bool {
	l, err := Parse(url)
	return err == nil && kindOf(l).claims
}
