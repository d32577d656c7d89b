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

// CheckEmpty refuses a place that holds anything. A place that is still missing is not looked into if it is made.
func (o *Options) CheckEmpty(ctx context.Context, l store.Location, createBucket bool) error {
	k := kindOf(l)
	if createBucket && !k.bucket {
		return usage.Errorf("%s is not in a bucket: options for buckets have no place", Shown(l))
	}
	s, err := o.open(ctx, l, false)
	if errors.Is(err, store.ErrNoStore) && (createBucket || !k.bucket && errors.Is(err, fs.ErrNotExist)) {
		return nil
	}
	if err != nil {
		return err
	}
	defer Close(s)
	if f, ok := s.(store.Folder); ok {
		return checkEmptyFolder(ctx, f)
	}
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

// checkEmptyFolder refuses a folder that holds anything. A file system's lost+found is nothing, nor are files that awaited their name when a run was killed. What else
// an init left that died, repo.Init judges.
func checkEmptyFolder(ctx context.Context, s store.Folder) error {
	all, err := s.Entries(ctx, "")
	if err != nil {
		return err
	}
	unfinished := func(name string) bool { return strings.HasPrefix(name, durable.TempPrefix) }
	refuse := error(nil)
	for _, name := range all {
		switch {
		case name == "lost+found", name == "config", unfinished(name):
		case name == "keys":
			keys, err := s.Entries(ctx, name)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(keys, func(name string) bool { return !unfinished(name) }) {
				continue
			}
			return repo.ErrExists
		default:
			refuse = ErrNotEmpty
		}
	}
	return refuse
}

// Begin opens the store of a new repository. undo removes the folders of this machine that were made for it, as far as they are empty.
func (o *Options) Begin(ctx context.Context, l store.Location, createBucket bool) (s store.Store, undo func(), err error) {
	k, undo := kindOf(l), func() {}
	if k.local {
		undo = removeOnFailure(l.Path)
	}
	made, err := o.open(ctx, l, createBucket || !k.bucket)
	if err != nil {
		return nil, undo, err
	}
	if p, ok := made.(store.Prober); ok { // the recovery kit says what comes of it
		err = p.Probe(ctx)
	}
	return made, undo, err
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
