package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

// inPlace is store.MustBe for a name; what is missing is no clutter.
func (s *Store) inPlace(c *conn, at string, belongs fs.FileMode) error {
	info, err := c.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return store.MustBe(belongs, info.Mode())
}

// moveAside gives what is not of the type that belongs there a name that is left
// alone, "" if another writer has done that. It puts back what another writer
// put there in the same moment.
func (s *Store) moveAside(c *conn, name string, belongs fs.FileMode) (aside string, err error) {
	folder, base := split(name)
	if err := s.inPlace(c, s.path(name), belongs); !errors.Is(err, store.ErrClutter) {
		return "", err
	}
	aside = path.Join(folder, store.AsideName(base))
	err = c.Rename(s.path(name), s.path(aside))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err == nil {
		var info fs.FileInfo
		if info, err = c.Lstat(s.path(aside)); err == nil && store.MustBe(belongs, info.Mode()) == nil {
			err = c.Rename(s.path(aside), s.path(name))
			aside = ""
		}
	}
	if err != nil {
		return "", fmt.Errorf("move aside what is in the place of %s: %w", base, err)
	}
	s.syncFolder(c, s.path(folder))
	return aside, nil
}

// MoveAside implements store.Cluttered.
func (s *Store) MoveAside(ctx context.Context, name string, belongs fs.FileMode) (aside string, err error) {
	if err := store.Check(ctx, "move aside", name); err != nil {
		return "", err
	}
	err = s.do(ctx, func(c *conn) error {
		folder, _ := split(name)
		if err := s.folder(c, folder); err != nil {
			return s.missing(c, err)
		}
		aside, err = s.moveAside(c, name, belongs)
		return err
	})
	if err != nil || aside == "" {
		return "", fail("move aside", name, err)
	}
	return s.at.String() + "/" + aside, nil
}

// Clutter implements store.Cluttered.
func (s *Store) Clutter(ctx context.Context, belongs func(name string) fs.FileMode, f func(name string, what error) error) error {
	return s.walk(ctx, "look through", func(name string, e fs.FileInfo) (bool, error) {
		if !store.ValidName(name) || belongs(name) == store.Nothing {
			return false, nil
		}
		if what := store.MustBe(belongs(name), e.Mode()); what != nil {
			return false, f(name, what)
		}
		return e.IsDir(), nil
	})
}

// Sweep implements store.Sweeper. An unfinished write is a file whose name begins with ".tmp-", of which neither mtime nor atime is younger than
// that: the mtime may be that of another store, see write.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (removed int, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return 0, err
	}
	before := now.Add(-age)
	err = s.walk(ctx, "sweep", func(name string, e fs.FileInfo) (bool, error) {
		if e.IsDir() { // what is named by its hash is none, so it need not be looked at
			_, object := store.SumOf(name)
			return !object && store.ValidName(name), nil
		}
		stat, ok := e.Sys().(*sftp.FileStat)
		if !ok || !isTemp(e.Name()) || !e.Mode().IsRegular() || !e.ModTime().Before(before) || !time.Unix(int64(stat.Atime), 0).Before(before) {
			return false, nil
		}
		err := s.do(ctx, func(c *conn) error { return c.Remove(s.path(name)) })
		if errors.Is(err, fs.ErrNotExist) { // finished meanwhile
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("sweep %s/%s: %w", s.at, name, err)
		}
		removed++
		return false, nil
	})
	return removed, err
}

// isTemp reports whether a name is one that write makes.
func isTemp(base string) bool {
	rest, ok := strings.CutPrefix(base, durable.TempPrefix)
	return ok && store.ValidName(rest) && !strings.Contains(rest, "/")
}

// walk calls f for all that is in the store, and goes into the folders for which f says so. An error of f ends it and is returned as it is.
func (s *Store) walk(ctx context.Context, verb string, f func(name string, e fs.FileInfo) (bool, error)) error {
	todo := []string{""}
	for seen := 1; len(todo) > 0; {
		folder := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := s.entries(ctx, folder)
		if folder != "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrClutter)) {
			continue // removed meanwhile
		}
		if err != nil {
			return s.notRead(verb, folder, err)
		}
		for _, e := range entries {
			name := path.Join(folder, e.Name())
			into, err := f(name, e)
			if err != nil {
				return err
			}
			if !into {
				continue
			}
			if seen++; seen > maxFolders {
				return s.notRead(verb, folder, errEndless)
			}
			todo = append(todo, name)
		}
	}
	return nil
}
