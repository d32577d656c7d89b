package backup

import (
	"context"
	"fmt"
	"path/filepath"

	"nightjar/backup/content"
	"nightjar/backup/scan"
	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A builder makes trees of batches, which it takes in order. It is for one goroutine.
type builder struct {
	p      *pipeline
	ctx    context.Context
	reader *repo.Reader
	saver  *save.Saver
	list   *tree.Lister
	key    []byte
	open   []*level // from the root to where the walk is
	spare  []*level
	root   tree.Item
}

type level struct {
	node    *tree.Node
	encoder *tree.Encoder
	was     []tree.Item // trees of the predecessor from where the walk is: what new ones are likely to resemble
}

// treesAlike is how many trees of the predecessor a new one is compared with.
const treesAlike = 3

func (p *pipeline) newBuilder(ctx context.Context, nameKey []byte) (*builder, error) {
	saver, err := p.writer.NewSaver()
	if err != nil {
		return nil, err
	}
	return &builder{p: p, ctx: ctx, reader: p.writer.Reader(), saver: saver, list: tree.NewLister(saver.List), key: nameKey}, nil
}

// run takes batches until the walk has ended.
func (b *builder) run(ctx context.Context) error {
	for {
		select {
		case batch, ok := <-b.p.ordered:
			if !ok {
				return nil
			}
			select {
			case <-batch.Done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			for i := range batch.Events {
				if err := b.event(&batch.Events[i]); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *builder) event(e *scan.Event) error {
	switch e.Kind {
	case scan.Enter:
		return b.enter(e)
	case scan.Leave:
		return b.leave()
	}
	if e.Path != "" { // it was read
		s := b.p.sums
		switch {
		case e.Skip:
			s.Unread++
			return nil
		case e.Previous == nil:
			s.New++
		case e.Node.Mtime == e.Previous.Mtime && content.SameContent(e.Node, e.Previous): // it turned out to be what it was
			s.Unchanged++
		default:
			s.Changed++
		}
		s.Files++
		s.Bytes += e.Node.Size
		b.p.o.Progress.Files.Add(1)
	}
	return b.add(e.Node)
}

func (b *builder) enter(e *scan.Event) error {
	var l *level
	if len(b.spare) > 0 {
		l = b.spare[len(b.spare)-1]
		b.spare = b.spare[:len(b.spare)-1]
	} else {
		l = new(level)
		l.encoder = tree.NewEncoder(b.key, func(t []byte) (chunk.ID, error) { return b.tree(l, t) })
	}
	l.node, l.was = e.Node, nil
	b.open = append(b.open, l)
	if e.Previous == nil {
		return nil
	}
	err := tree.Walk(e.Previous.Contents, b.reader.Fetcher(b.ctx), func(item tree.Item) error {
		l.was = append(l.was, item)
		return nil
	})
	if err != nil { // which the scan reports
		l.was = nil
	}
	return nil
}

// tree saves a tree of a directory.
func (b *builder) tree(l *level, t []byte) (chunk.ID, error) {
	id, err := b.saver.TreeLike(t, l.was[:min(treesAlike, len(l.was))])
	for i, item := range l.was {
		if item.ID == id {
			l.was = l.was[i+1:]
			return id, err
		}
	}
	if len(l.was) > 1 {
		l.was = l.was[1:]
	}
	return id, err
}

// leave ends the deepest directory and enters it in the one above; the root ends the walk.
func (b *builder) leave() error {
	l := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	b.spare = append(b.spare, l)
	n := l.node
	items, err := l.encoder.Finish()
	if err != nil {
		return fmt.Errorf("encode directory %q: %w", b.path(n.Name), err)
	}
	for _, item := range items {
		if err := b.list.Add(item); err != nil {
			return err
		}
	}
	if n.Contents, err = b.list.Finish(); err != nil {
		return fmt.Errorf("encode directory %q: %w", b.path(n.Name), err)
	}
	if len(b.open) > 0 {
		return b.add(n)
	}
	if err := b.encode(l.encoder, n); err != nil {
		return err
	}
	if items, err = l.encoder.Finish(); err != nil {
		return fmt.Errorf("encode root: %w", err)
	}
	b.root = items[0]
	return nil
}

func (b *builder) add(n *tree.Node) error { return b.encode(b.open[len(b.open)-1].encoder, n) }

func (b *builder) encode(e *tree.Encoder, n *tree.Node) error {
	if err := content.SaveXattrs(b.saver, n); err != nil {
		return fmt.Errorf("encode attributes of %q: %w", b.path(n.Name), err)
	}
	if err := e.Add(n); err != nil {
		return fmt.Errorf("encode %q: %w", b.path(n.Name), err)
	}
	return nil
}

func (b *builder) path(name string) string {
	parts := []string{"/"}
	for _, l := range b.open[min(1, len(b.open)):] { // the root's name is in no path
		parts = append(parts, l.node.Name)
	}
	return filepath.Join(append(parts, name)...)
}
