package place

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/repo"
	"nightjar/repo/store"
)

// ErrNotEmpty says that a place is none for a new repository.
var ErrNotEmpty = errors.New("the place is not empty and no repository")

// CheckEmpty refuses a place that holds anything. A bucket that is still missing is not looked into if it shall be made.
func (o *Options) CheckEmpty(ctx context.Context, l store.Location, createBucket bool) error {
	if l.Scheme == store.SchemeFile {
		if o.Bucket.Given() || createBucket {
			return usage.Errorf("%s is a directory: options for buckets have no place", Shown(l))
		}
		return checkEmptyDir(l.Path)
	}
	s, err := o.bucket(ctx, l, false)
	if createBucket && errors.Is(err, store.ErrNoStore) {
		return nil
	}
	if err != nil {
		return err
	}
	defer Close(s)
	found := errors.New("found")
	for _, look := range []struct {
		prefix string
		refuse error
	}{{"keys/", repo.ErrExists}, {"", ErrNotEmpty}} {
		err := s.List(ctx, look.prefix, func(i store.Info) error {
			if i.Name == "config" { // what an init left that died, repo.Init judges
				return nil
			}
			return found
		})
		if errors.Is(err, found) {
			return look.refuse
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Begin opens the store of a new repository. undo removes the folders that were made for it, as far as they are empty; not a bucket.
func (o *Options) Begin(ctx context.Context, l store.Location, createBucket bool) (s store.Store, undo func(), err error) {
	if l.Scheme != store.SchemeFile {
		bucket, err := o.bucket(ctx, l, createBucket)
		if err != nil {
			return nil, func() {}, err
		}
		// The recovery kit says what comes of it.
		return bucket, func() {}, bucket.Probe(ctx)
	}
	undo = removeOnFailure(l.Path)
	dir, err := o.directory(l, true)
	if err != nil {
		return nil, undo, err
	}
	return dir, undo, nil
}

// checkEmptyDir refuses a directory that holds anything. A file system's lost+found is nothing, nor are files that awaited their name when a run was killed. What else
// an init left that died, repo.Init judges.
func checkEmptyDir(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	unfinished := func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), durable.TempPrefix) }
	refuse := error(nil)
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "lost+found", name == "config", unfinished(e):
		case name == "keys" && e.IsDir():
			keys, err := os.ReadDir(filepath.Join(path, name))
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(keys, func(e os.DirEntry) bool { return !unfinished(e) }) {
				continue
			}
			return repo.ErrExists
		default:
			refuse = ErrNotEmpty
		}
	}
	return refuse
}

// removeOnFailure returns what removes the folders that are made for a repository, if they are empty again.
func removeOnFailure(path string) (undo func()) {
	made := []string{filepath.Join(path, "keys")}
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	return func() {
		for _, dir := range made {
			_ = os.Remove(dir) // leaves what is not empty
		}
	}
}
