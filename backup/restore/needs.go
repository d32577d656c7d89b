package restore

import (
	"context"
	"errors"
	"fmt"
	"path"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// Needs calls f with name and size of each pack that a restore of what o.Path and o.Filter name would read, many times if many files lie there. What cannot
// be found is passed over: the restore tells of it.
func Needs(ctx context.Context, rd *repo.Reader, a *repo.Archive, o Options, f func(name string, size int64)) error {
	n, at, err := browse.LookUp(ctx, rd, a, o.Path)
	if err != nil {
		return err
	}
	p := &needs{ctx: ctx, rd: rd, filter: o.Filter, f: f}
	if !n.IsDir() {
		return p.entry(n, path.Dir(at), true)
	}
	is, _ := o.Filter.Includes(at, false)
	return p.dir(n, at, is)
}

type needs struct {
	ctx    context.Context
	rd     *repo.Reader
	filter *filter.Filter
	f      func(name string, size int64)
}

// dir goes through a directory as a restore does.
func (p *needs) dir(n *tree.Node, at string, included bool) error {
	if err := p.contents(n.XattrContents); err != nil {
		return err
	}
	for child, err := range tree.Nodes(n.Contents, p.rd.Fetcher(p.ctx)) {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, repo.ErrUnavailable) {
			return fmt.Errorf("read directory %q: %w", at, err)
		}
		if err != nil {
			return nil
		}
		if err := p.entry(child, at, included); err != nil {
			return err
		}
	}
	return nil
}

func (p *needs) entry(n *tree.Node, dir string, included bool) error {
	at := path.Join(dir, n.Name)
	is, below := p.filter.Includes(at, included)
	switch {
	case !is && !(below && n.IsDir()), p.filter.Excludes(at, n.Size):
		return nil
	case n.IsDir():
		return p.dir(n, at, is)
	}
	if err := p.contents(n.XattrContents); err != nil || !n.IsRegular() {
		return err
	}
	return p.contents(&n.Contents)
}

func (p *needs) contents(c *tree.Contents) error {
	if c == nil {
		return nil
	}
	err := tree.WalkNew(*c, p.rd.Fetcher(p.ctx), tree.Once(), func(item tree.Item) error {
		if item.Hole {
			return nil
		}
		return p.rd.Packs(p.ctx, item.ID, p.f)
	})
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	if errors.Is(err, repo.ErrUnavailable) {
		return fmt.Errorf("find packs: %w", err)
	}
	return nil
}
