package browse

import (
	"context"
	"errors"
	"fmt"
	"io"

	"nightjar/backup/read"
	"nightjar/repo"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// List calls f for the entry at a path in the archive or, if that is a directory, for its entries in order; with recursive, for all below.
// The node is f's to keep.
func List(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string, recursive bool, f func(path string, n *tree.Node) error) error {
	n, at, err := LookUp(ctx, rd, a, name)
	if err != nil {
		return err
	}
	if !n.IsDir() {
		return f(at, n)
	}
	w := walk.Walk{Get: rd.Fetcher(ctx), Guard: new(walk.Guard)}
	w.Node = func(n *tree.Node) error {
		err := ctx.Err()
		if err == nil {
			err = f(w.Path(), n)
		}
		if err == nil && !recursive {
			err = walk.ErrSkip
		}
		return err
	}
	w.Failed = func(_ walk.Use, err error) error { return fmt.Errorf("read %q: %w", w.Path(), err) }
	if err = walk.Cause(w.Dir(n, at)); errors.Is(err, walk.ErrBomb) {
		return fmt.Errorf("list archive %s: %w", a.ID, err)
	}
	return err
}

// Open opens a regular file of an archive, which fetches ahead within the budget; read.Open says more of both.
func Open(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string, b *read.Budget) (io.ReadCloser, error) {
	n, _, err := LookUp(ctx, rd, a, name)
	if err != nil {
		return nil, err
	}
	if !n.IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", name)
	}
	return read.Open(ctx, rd, n.Contents, b), nil
}

// copyBytes suits pipes and disks.
const copyBytes = 1 << 20

// Cat writes a file's content in order, with zeros for holes. Nothing is written that was not authenticated, but what was before an error has been written.
func Cat(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string, w io.Writer) error {
	from, err := Open(ctx, rd, a, name, nil)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, from, make([]byte, copyBytes))
	return err
}
