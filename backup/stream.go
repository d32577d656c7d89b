package backup

import (
	"context"
	"fmt"

	"nightjar/backup/content"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// Stream saves a stream as one file in the root. An error of the source's Reader commits nothing, and neither does ErrEmpty.
func Stream(ctx context.Context, r *repo.Repository, template *repo.Record, src Source, o Options) (*repo.Archive, Statistics, error) {
	if err := tree.ValidName(src.Name); err != nil {
		return nil, Statistics{}, fmt.Errorf("name of the stream: %w", err)
	}
	return Save(ctx, r, template, o, func(ctx context.Context, run *Run) (repo.Labels, error) {
		c, err := run.Create(src.Name, content.Hint{Like: run.anyStream(ctx)})
		if err != nil {
			return nil, err
		}
		n, err := c.ReadFrom(src.Reader)
		if err == nil && n == 0 && !src.AllowEmpty {
			err = fmt.Errorf("save %q: %w", src.Name, ErrEmpty)
		}
		if err != nil {
			return nil, err
		}
		return nil, c.Close()
	})
}

// anyStream returns the path of a file in the root of the predecessor, which a stream of another name may resemble; "": there is none.
func (r *Run) anyStream(ctx context.Context) string {
	root := r.before("")
	if root == nil {
		return ""
	}
	for n, err := range tree.Nodes(root.Contents, r.p.writer.Reader().Fetcher(ctx)) {
		if err == nil && n.IsRegular() {
			return n.Name
		}
	}
	return ""
}
