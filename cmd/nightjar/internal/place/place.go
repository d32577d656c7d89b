// Package place finds what a repository's URL means: it parses it, names it, and opens or makes the directory or bucket that is there, as the options of a command line say.
//
// The invariant: no error repeats a URL, which may hold a password, before it is known to be none.
package place

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

// Options say how places are reached.
type Options struct {
	Bucket      Bucket
	Servers     Servers          // where it is remembered what they do
	Connections int              // objects sent or read at the same time; 0: as many as suit the place
	Now         func() time.Time // never nil
	Warn        func(error)      // told of what is wrong but stops nothing; never nil
}

// Parse parses a repository's URL. Its errors repeat nothing that may hold a password.
func Parse(url string) (store.Location, error) {
	l, err := store.ParseLocation(url)
	if err != nil {
		return l, usage.Error{Err: err}
	}
	if l.Scheme == store.SchemeFile {
		return l, nil
	}
	if !s3.IsScheme(l.Scheme) {
		return l, usage.Errorf("repository %s://…: only /path, file:///path and s3://bucket/prefix are supported", l.Scheme)
	}
	if err := s3.Check(l); err != nil { // which repeats nothing of what may hold a password
		return l, usage.Errorf("repository %s://…: %w", l.Scheme, err)
	}
	return l, nil
}

// Shown returns a place as people write it.
func Shown(l store.Location) string {
	switch {
	case l.Scheme == store.SchemeFile:
		return l.Path
	case s3.IsScheme(l.Scheme):
		return "s3://" + strings.TrimSuffix(l.Path, "/")
	}
	return l.Scheme + "://" + l.Path
}

// Name is what this machine calls a place: another server has another bucket of that name.
func (o *Options) Name(ctx context.Context, l store.Location) string {
	if s3.IsScheme(l.Scheme) {
		if endpoint := o.endpoint(ctx); endpoint != "" {
			return Shown(l) + " --endpoint " + endpoint
		}
	}
	return Shown(l)
}

// endpoint is the server in force, "" for Amazon's. What is wrong with its configuration, opening the store tells.
func (o *Options) endpoint(ctx context.Context) string {
	endpoint, _ := s3.Endpoint(ctx, s3.Options{Profile: o.Bucket.Profile, Endpoint: o.Bucket.Endpoint})
	return endpoint
}

// Address is what a recovery kit says after --repo: with it, another machine finds the repository.
func (o *Options) Address(ctx context.Context, l store.Location) string {
	text := o.Name(ctx, l)
	if !s3.IsScheme(l.Scheme) {
		return text
	}
	if o.Bucket.Region != "" {
		text += " --region " + o.Bucket.Region
	}
	switch style := o.Bucket.PathStyle; {
	case style != nil && *style:
		text += " --path-style"
	case style != nil && o.endpoint(ctx) != "":
		text += " --path-style=false"
	}
	if o.Bucket.RequesterPays {
		text += " --requester-pays"
	}
	if known, err := o.abilities(ctx, l); err == nil {
		if lacking := lacks(known); lacking != "" {
			text += " --server-lacks " + lacking
		}
	}
	return text
}

// CheckConnections refuses a number of connections that is none, or too many.
func (o *Options) CheckConnections() error {
	const most = 64 // each has a pack in memory
	if o.Connections < 0 || o.Connections > most {
		return usage.Errorf("--connections %d: 1 to %d", o.Connections, most)
	}
	return nil
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
	if l.Scheme == store.SchemeFile {
		d, err := o.directory(l, create)
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	s, err := o.bucket(ctx, l, create)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (o *Options) directory(l store.Location, create bool) (*store.Dir, error) {
	if o.Bucket.Given() {
		return nil, usage.Errorf("%s is a directory: options for buckets have no place", Shown(l))
	}
	if create {
		return store.CreateDir(l.Path)
	}
	return store.OpenDir(l.Path)
}

func (o *Options) bucket(ctx context.Context, l store.Location, create bool) (*s3.Store, error) {
	how, err := o.s3Options()
	if err == nil {
		how.Abilities, err = o.abilities(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	name := o.Name(ctx, l)
	how.Learned = func(now s3.Abilities) {
		if err := o.Servers.remember(name, now); err != nil {
			o.Warn(err)
		}
	}
	if o.Bucket.Lacks != nil {
		how.Learned(how.Abilities)
	}
	if create {
		return s3.Create(ctx, l, how)
	}
	s, err := s3.Open(ctx, l, how)
	if errors.Is(err, store.ErrNoStore) {
		err = usage.Hinted{Err: err, Hint: "is the name right, and the --endpoint? nightjar init --create-bucket makes a bucket"}
	}
	return s, err
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

// NeedsClaim reports whether a copy at a URL begins with a claim that a recovery key signs: in a bucket, where times are mere metadata.
func NeedsClaim(url string) bool {
	l, err := Parse(url)
	return err == nil && l.Scheme != store.SchemeFile
}
