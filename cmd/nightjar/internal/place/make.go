package place

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
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

// Begin opens the store of a new repository. undo removes the objects of a repository that was not finished, and the folders that were made for it; not a bucket.
func (o *Options) Begin(ctx context.Context, l store.Location, createBucket bool) (s store.Store, undo func(), err error) {
	undo = func() {}
	if l.Scheme == store.SchemeFile {
		undo = removeOnFailure(l.Path)
		dir, err := o.directory(l, true)
		if err != nil {
			return nil, undo, err
		}
		return dir, undo, nil
	}
	bucket, err := o.bucket(ctx, l, createBucket)
	if err != nil {
		return nil, undo, err
	}
	if err := bucket.Probe(ctx); err != nil { // the recovery kit says what comes of it
		return nil, undo, err
	}
	r := &recorder{Store: bucket}
	return r, func() {
		if err := r.undo(ctx); err != nil {
			o.Warn(fmt.Errorf("remove what was made: %w", err))
		}
	}, nil
}

// A recorder knows how far the making of a repository came.
type recorder struct {
	*s3.Store
	config, keys bool
}

func (r *recorder) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	r.keys = r.keys || name != "config"
	info, err := r.Store.Put(ctx, name, data)
	r.config = r.config || err == nil && name == "config"
	return info, err
}

// undo removes the config, if it is this run's and alone. Keys that a bucket failed to take may be there all the same, and with them the repository.
func (r *recorder) undo(ctx context.Context) error {
	if !r.config || r.keys {
		return nil
	}
	// The reason to stop may be that ctx ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return r.Delete(ctx, "config")
}

// checkEmptyDir refuses a directory that holds anything. A file system's lost+found is nothing, and what an init left that died, repo.Init judges.
func checkEmptyDir(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	empty := true
	for _, e := range entries {
		switch e.Name() {
		case "lost+found", "config":
		case "keys":
			return repo.ErrExists
		default:
			empty = false
		}
	}
	if !empty {
		return ErrNotEmpty
	}
	return nil
}

// removeOnFailure returns what removes the objects of a repository that was not finished in a directory that is empty now, and the folders
// that were made for it.
func removeOnFailure(path string) (undo func()) {
	made := []string{filepath.Join(path, "keys")}
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	return func() {
		_ = os.Remove(filepath.Join(path, "keys", "000001"))
		_ = os.Remove(filepath.Join(path, "config"))
		for _, dir := range made {
			_ = os.Remove(dir) // leaves what is not empty
		}
	}
}
