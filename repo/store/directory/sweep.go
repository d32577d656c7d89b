package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

// Sweep implements Sweeper. An unfinished write is a file whose name begins with ".tmp-" and that nothing has touched for that long, by the
// clock of the file system: its mtime may be that of another store.
func (d *Store) Sweep(ctx context.Context, age time.Duration) (removed int, err error) {
	now, err := d.Now(ctx)
	if err != nil {
		return 0, err
	}
	root, err := d.openFolder("")
	if err != nil {
		return 0, fmt.Errorf("sweep %s: %w", d.path, err)
	}
	return d.sweep(ctx, root, "", now.Add(-age))
}

// sweep sweeps one folder and all below, and closes dir.
func (d *Store) sweep(ctx context.Context, dir *os.File, folder string, before time.Time) (removed int, err error) {
	defer dir.Close()
	fail := func(err error) (int, error) {
		return removed, fmt.Errorf("sweep %s: %w", filepath.Join(d.path, folder), err)
	}
	for {
		bases, readErr := dir.Readdirnames(1024)
		for _, base := range bases {
			temp := strings.HasPrefix(base, durable.TempPrefix)
			name := path.Join(folder, base)
			if _, object := store.SumOf(name); !temp && (object || !store.ValidName(name)) { // what is named by its hash is no folder, so it need not be looked at
				continue
			}
			if err := ctx.Err(); err != nil {
				return fail(err)
			}
			st, err := lstat(dir, base)
			switch {
			case errors.Is(err, fs.ErrNotExist): // finished meanwhile
				continue
			case err != nil:
				return fail(err)
			case temp && st.Mode&unix.S_IFMT == unix.S_IFREG && time.Unix(st.Ctim.Unix()).Before(before):
				if err := durable.Unlink(dir, base); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fail(err)
				}
				removed++
			case !temp && st.Mode&unix.S_IFMT == unix.S_IFDIR:
				sub, err := durable.OpenAt(dir, base, folderFlags, 0)
				if err != nil {
					return fail(err)
				}
				n, err := d.sweep(ctx, sub, name, before)
				removed += n
				if err != nil {
					return removed, err
				}
			}
		}
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, fs.ErrNotExist) {
			return removed, nil
		}
		if readErr != nil {
			return fail(readErr)
		}
	}
}
