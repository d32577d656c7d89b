package restore

import (
	"context"
	"errors"
	"fmt"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/repo"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
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
		return p.entry(n, at, true)
	}
	is, _ := o.Filter.Includes(at, true, false)
	if err := p.contents(n.XattrContents); err != nil {
		return err
	}
	if err = p.dir(n, at, is); errors.Is(err, walk.ErrBomb) {
		return fmt.Errorf("look what archive %s needs: %w", a.ID, err)
	}
	return err
}

type needs struct {
	ctx    context.Context
	rd     *repo.Reader
	filter *filter.Filter
	f      func(name string, size int64)
}

// dir goes through a directory as a restore does.
func (p *needs) dir(n *tree.Node, at string, is bool) error {
	included := []bool{is} // of the directories on the way down
	w := walk.Walk{Get: p.rd.Fetcher(p.ctx), Guard: new(walk.Guard), Long: func(*tree.Node) error { return nil }}
	w.Node = func(n *tree.Node) error {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		at := w.Path()
		above := included[len(included)-1]
		if n.IsDir() {
			is, below := p.filter.Includes(at, true, above)
			if !is && !below || p.filter.Excludes(at, true, 0) {
				return walk.ErrSkip
			}
			included = append(included, is)
			return p.contents(n.XattrContents)
		}
		return p.entry(n, at, above)
	}
	w.Left = func(n *tree.Node, err error) error {
		if n.IsDir() {
			included = included[:len(included)-1]
		}
		return err
	}
	w.Failed = func(_ walk.Use, err error) error {
		if errors.Is(err, repo.ErrUnavailable) {
			return fmt.Errorf("read directory %q: %w", w.Path(), err)
		}
		return nil
	}
	return walk.Cause(w.Dir(n, at))
}

// entry is for what is no directory.
func (p *needs) entry(n *tree.Node, at string, included bool) error {
	if is, _ := p.filter.Includes(at, false, included); !is || p.filter.Excludes(at, false, n.Size) {
		return nil
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
