package clone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/mysqldump/datadir"
)

const (
	// folderPrefix begins the name of the folder for a clone, which ends in the server's UUID.
	folderPrefix = "nightjar-clone-"
	// mark is the file in the folder that says whose it is. It is locked for as long as somebody wants the folder.
	mark = "nightjar-clone"
	// data is what the server makes in the folder.
	data = "data"
)

// A folder is what a clone is made in.
type folder struct {
	path string // of the clone
	home string // of the folder around it, which is ours
	mark *os.File
}

// place returns where the clone of a server is made.
func place(dir string, src *source) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%w: %q is no absolute path", ErrFolder, dir)
	}
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %q is not there", ErrFolder, dir)
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFolder, err)
	}
	datadir, err := filepath.EvalSymlinks(src.datadir)
	if err != nil {
		return "", err
	}
	if inside := strings.TrimSuffix(datadir, "/") + "/"; strings.HasPrefix(real+"/", inside) {
		return "", fmt.Errorf("%w: %q is in the data directory", ErrFolder, dir)
	}
	return filepath.Join(real, folderPrefix+src.identity.ServerUUID.String(), data), nil
}

// claim makes the folder for a clone that is to be made at a path. What a killed run has left there is removed. In the folder
// owner can make what it will.
func claim(at string, owner datadir.Owner) (_ *folder, err error) {
	f := &folder{path: at, home: filepath.Dir(at)}
	err = os.Mkdir(f.home, 0o700)
	if errors.Is(err, fs.ErrExist) {
		if err = removeLeft(f.home); err == nil {
			err = os.Mkdir(f.home, 0o700)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w: %w", ErrFolder, err), f.remove())
		}
	}()
	f.mark, err = os.OpenFile(filepath.Join(f.home, mark), os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.mark.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.mark.Name(), err)
	}
	if _, err := f.mark.WriteString("This folder is nightjar's. It holds a clone of a server for as long as a backup takes, and may be removed.\n"); err != nil {
		return nil, err
	}
	return f, give(f.home, owner)
}

// removeLeft removes a folder that a killed run has left: one with our mark, or an empty one.
func removeLeft(home string) error {
	info, err := os.Lstat(home)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is no folder of ours", home)
	}
	f, err := os.OpenFile(filepath.Join(home, mark), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Remove(home); err != nil {
			return fmt.Errorf("%q has no mark of ours: %w", home, err)
		}
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%q is in use by another run: %w", home, err)
	}
	return removeAll(home)
}

// removeAll removes a folder, and its mark last.
func removeAll(home string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != mark {
			if err := os.RemoveAll(filepath.Join(home, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(home)
}

// remove removes the folder with all that is in it.
func (f *folder) remove() error {
	err := removeAll(f.home)
	if f.mark != nil {
		f.mark.Close()
	}
	if err != nil {
		return fmt.Errorf("remove the clone: %w", err)
	}
	return nil
}

// give gives a folder to its owner, which only root can, and only root has to.
func give(path string, o datadir.Owner) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, o.UID, o.GID)
}
