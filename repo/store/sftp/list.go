package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"nightjar/repo/store"
)

// maxFolders is how many folders a listing goes through, lest a server that makes them up never ends.
const maxFolders = 1 << 20

// errVanished says that a folder is not where it was when its listing began, which then may lack anything: nothing here removes folders.
var errVanished = errors.New("the folder was moved or removed while it was listed")

// List implements store.Store. Files, folders and links that are no objects are left out; what is in the place of the folder that prefix names is an
// error, since nobody may take what is out of sight for gone.
func (s *Store) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	if err := store.CheckList(ctx, prefix); err != nil {
		return err
	}
	folder, _ := split(prefix)
	for again := false; ; again = true {
		entries, err := s.entries(ctx, folder)
		if errors.Is(err, fs.ErrNotExist) {
			there, lookErr := s.named(ctx, folder)
			switch {
			case lookErr != nil:
				err = lookErr
			case !there:
				return nil
			case !again: // made meanwhile, as a rule
				continue
			default:
				err = errVanished
			}
		}
		if err != nil {
			return s.notListed(folder, err)
		}
		l := lister{s: s, prefix: prefix, f: f}
		return l.list(ctx, folder, entries)
	}
}

type lister struct {
	s       *Store
	prefix  string
	f       func(store.Info) error
	folders int
}

// list calls f for what is in one folder, and below.
func (l *lister) list(ctx context.Context, folder string, entries []fs.FileInfo) error {
	if l.folders++; l.folders > maxFolders {
		return l.s.notListed(folder, errEndless)
	}
	if folder != "" {
		folder += "/"
	}
	for _, entry := range entries {
		name := folder + entry.Name()
		if !strings.HasPrefix(name, l.prefix) && !strings.HasPrefix(l.prefix, name+"/") || !store.ValidName(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return l.s.notListed(folder, err)
		}
		switch {
		case entry.Mode().IsRegular() && strings.HasPrefix(name, l.prefix):
			info, err := infoOf(name, entry)
			if err != nil {
				return l.s.notListed(folder, err)
			}
			if err := l.f(info); err != nil {
				return err
			}
		case entry.IsDir():
			below, err := l.s.entries(ctx, name)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrClutter) {
				err = errVanished
			}
			if err != nil {
				return l.s.notListed(name, err)
			}
			if err := l.list(ctx, name, below); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) notListed(folder string, err error) error {
	return s.notRead("list objects in", folder, err)
}

func (s *Store) notRead(verb, folder string, err error) error {
	if isServers(err) {
		err = store.Unread(err)
	}
	return fmt.Errorf("%s %s: %w", verb, strings.TrimSuffix(s.at.String()+"/"+folder, "/"), err)
}

// named reports whether a folder, and each on the way to it, is named in the one above. That it could not be looked at is not proof enough that nothing was
// ever stored there.
func (s *Store) named(ctx context.Context, folder string) (bool, error) {
	above := ""
	for segment := range strings.SplitSeq(folder, "/") {
		all, err := s.entries(ctx, above)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(all, func(e fs.FileInfo) bool { return e.Name() == segment }) {
			return false, nil
		}
		above = strings.TrimPrefix(above+"/"+segment, "/")
	}
	return true, nil
}

// Entries implements store.Folder.
func (s *Store) Entries(ctx context.Context, folder string) ([]string, error) {
	if folder != "" {
		if err := store.Check(ctx, "list", folder); err != nil {
			return nil, err
		}
	}
	all, err := s.entries(ctx, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.notListed(folder, err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names, nil
}

// entries returns all that is in one folder.
func (s *Store) entries(ctx context.Context, folder string) (all []fs.FileInfo, err error) {
	err = s.do(ctx, func(c *conn) error {
		if err := s.folder(c, folder); err != nil {
			return s.missing(c, err)
		}
		if all, err = c.readDir(ctx, s.path(folder)); err == nil {
			// OpenSSH leaves out what it may not look at, and ends without an error when the folder is gone.
			_, err = c.Stat(s.path(folder) + "/.")
		}
		return s.missing(c, err)
	})
	return all, err
}

// readDir reads one folder, in a session of its own, where the length of the answer can be told.
func (c *conn) readDir(ctx context.Context, dir string) ([]fs.FileInfo, error) {
	c.listing.Lock()
	defer c.listing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.lists == nil {
		c.listed.most = c.maxListed
		lists, err := c.session(&c.listed)
		if errors.Is(err, ErrNoSFTP) || errors.As(err, new(*ssh.OpenChannelError)) { // of a server that allows one session
			return c.ReadDirContext(ctx, dir)
		}
		if err != nil {
			return nil, err
		}
		c.lists = lists
	}
	c.listed.n.Store(0)
	all, err := c.lists.ReadDirContext(ctx, dir)
	if c.listed.n.Load() > c.maxListed {
		c.cut()
		return nil, errEndless
	}
	return all, err
}

// isServers reports whether an error is what the server said of a file.
func isServers(err error) bool {
	return errors.As(err, new(*sftp.StatusError)) || errors.Is(err, fs.ErrPermission)
}
