package browse

import (
	"context"
	"fmt"
	"io"
	"path"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
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
	return list(ctx, rd, at, n, recursive, f)
}

func list(ctx context.Context, rd *repo.Reader, at string, dir *tree.Node, recursive bool, f func(string, *tree.Node) error) error {
	for n, err := range tree.Nodes(dir.Contents, rd.Fetcher(ctx)) {
		if err != nil {
			return fmt.Errorf("read %q: %w", at, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(path.Join(at, n.Name), n); err != nil {
			return err
		}
		if recursive && n.IsDir() {
			if err := list(ctx, rd, path.Join(at, n.Name), n, recursive, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// Cat writes a file's content, as Copy does.
func Cat(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string, w io.Writer) error {
	n, _, err := LookUp(ctx, rd, a, name)
	if err != nil {
		return err
	}
	if !n.IsRegular() {
		return fmt.Errorf("%q is not a regular file", name)
	}
	return Copy(ctx, rd, n.Contents, w)
}

// chunksAhead is how many chunks are fetched together where they are needed in order.
const chunksAhead = 8

// Copy writes contents in order, with zeros for holes. Nothing is written that was not authenticated, but what was before an error has been written.
func Copy(ctx context.Context, rd *repo.Reader, c tree.Contents, w io.Writer) error {
	var ids []chunk.ID
	flush := func() error {
		got := make([][]byte, len(ids))
		err := rd.Fetch(ctx, ids, func(i int, data []byte, err error) error {
			got[i] = append([]byte(nil), data...)
			return err
		})
		for _, data := range got {
			if err == nil {
				_, err = w.Write(data)
			}
		}
		ids = ids[:0]
		return err
	}
	err := tree.Walk(c, rd.Fetcher(ctx), func(item tree.Item) error {
		if !item.Hole {
			if ids = append(ids, item.ID); len(ids) < chunksAhead {
				return nil
			}
			return flush()
		}
		if err := flush(); err != nil {
			return err
		}
		_, err := io.CopyN(w, zeros{}, item.Length)
		return err
	})
	if err != nil {
		return err
	}
	return flush()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
