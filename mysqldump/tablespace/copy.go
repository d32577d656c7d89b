package tablespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// copyFile copies a file to a new one, of the owner and mode of another, and makes it durable.
func copyFile(ctx context.Context, from, to string, like os.FileInfo) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = fmt.Errorf("copy %s: %w", from, err)
		}
	}()
	const step = 64 << 20
	for n := int64(step); n == step; {
		if n, err = io.CopyN(out, in, step); err != nil && err != io.EOF { // in the kernel
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if uid, gid := ownerOf(like); os.Geteuid() == 0 {
		if err := out.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err := out.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	return out.Sync()
}
