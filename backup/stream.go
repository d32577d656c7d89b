package backup

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"nightjar/backup/browse"
	"nightjar/backup/scan"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// Stream saves a stream as one file in the root. An error of the source's Reader commits nothing, and neither does ErrEmpty.
func Stream(ctx context.Context, r *repo.Repository, template *repo.Record, src Source, o Options) (*repo.Archive, Statistics, error) {
	o.fill()
	if err := tree.ValidName(src.Name); err != nil {
		return nil, Statistics{}, fmt.Errorf("name of the stream: %w", err)
	}
	return commit(ctx, r, template, &o, func(ctx context.Context, p *pipeline, sums *Statistics) (tree.Item, error) {
		var was *save.Past
		if held, like := streamBefore(ctx, p.writer.Reader(), &o, src.Name); len(held)+len(like) > 0 {
			was = p.writer.Past(held, like)
			defer was.Close()
		}
		b, err := p.newBuilder(ctx, r.NameKey())
		if err != nil {
			return tree.Item{}, err
		}
		close(p.batches)
		var contents tree.Contents
		g, gctx := errgroup.WithContext(ctx)
		for i := range o.Workers {
			w, err := p.newWorker()
			if err != nil {
				return tree.Item{}, err
			}
			g.Go(func() error {
				if i == 0 {
					var err error
					if contents, err = w.large(gctx, src.Reader, was); err != nil {
						return fmt.Errorf("save stream %q: %w", src.Name, err)
					}
				}
				return w.rest(gctx)
			})
		}
		if err := g.Wait(); err != nil {
			return tree.Item{}, err
		}
		if contents.Size() == 0 && !src.AllowEmpty {
			return tree.Item{}, fmt.Errorf("save stream %q: %w", src.Name, ErrEmpty)
		}
		now := tree.TimeOf(sums.Start)
		file := &tree.Node{Name: src.Name, Mode: tree.Regular | 0o600, Mtime: now, Ctime: now, Links: 1, Size: uint64(contents.Size()), Contents: contents}
		sums.Files, sums.Bytes, sums.New, sums.Dirs = 1, file.Size, 1, 1
		p.o.Progress.Files.Add(1)
		for _, e := range []scan.Event{{Kind: scan.Enter, Node: &tree.Node{Name: "root", Mode: tree.Directory | 0o755, Mtime: now, Ctime: now}}, {Node: file}, {Kind: scan.Leave}} {
			if err := b.event(&e); err != nil {
				return tree.Item{}, err
			}
		}
		return b.root, nil
	})
}

// streamBefore returns the stream of that name in the predecessor, or what else there is. Without it the run sends more.
func streamBefore(ctx context.Context, rd *repo.Reader, o *Options, name string) (held, like []tree.Contents) {
	root, err := browse.Root(ctx, rd, o.Previous)
	if err != nil {
		o.Problem(name, fmt.Errorf("compare with the archive before: %w", err))
	}
	if root == nil {
		return nil, nil
	}
	for n, err := range tree.Nodes(root.Contents, rd.Fetcher(ctx)) {
		switch {
		case err != nil:
			o.Problem(name, fmt.Errorf("compare with the archive before: %w", err))
			return nil, nil
		case !n.IsRegular():
		case n.Name == name:
			return contentsOf(n), nil
		case len(like) == 0:
			like = contentsOf(n)
		}
	}
	return nil, like
}

// contentsOf returns a file's contents, if it has any.
func contentsOf(n *tree.Node) []tree.Contents {
	if len(n.Contents.Items) == 0 {
		return nil
	}
	return []tree.Contents{n.Contents}
}
