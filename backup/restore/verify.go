package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightjar/backup/local"
	"nightjar/chunk"
	"nightjar/repo/tree"
)

// ErrVerify says that a file does not read back as it was written: the disk or the memory of this machine is to be doubted, not the repository.
var ErrVerify = errors.New("it does not read back as it was written")

// verifier returns what reads a complete file back and compares its size and the keyed hashes of its chunks. It reads in the goroutine that had the last chunk of
// the file, one chunk at a time, before the file takes the place of another. When ctx has ended, so has the restore, and nothing is compared.
func (r *restorer) verifier(ctx context.Context) func(*placedFile) error {
	if r.o.Verify == nil {
		return nil
	}
	pool := sync.Pool{New: func() any { return &readBack{namer: r.o.Verify()} }}
	return func(f *placedFile) error {
		b := pool.Get().(*readBack)
		defer pool.Put(b)
		err := b.compare(ctx, r, f)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("verify: %w", err)
		}
		r.shared.verified.Add(1)
		return nil
	}
}

// A keptFile has the size and the time that were saved, which may be all that a machine that lost its power has left of it.
type keptFile struct {
	node    *tree.Node
	path    string
	dir     *handle
	action  Action
	first   *firstLink // if it may have other names
	further bool       // and others of them came before
	id      local.FileID
}

// check has what is kept read. Of a further name that is what the first one is: if that turns out to be another, so will this.
func (p *planner) check(k keptFile) error {
	if k.further {
		return p.link(plannedLink{first: k.first, node: k.node, path: k.path, action: Replaced, whole: &k.id, kept: true})
	}
	dir, err := p.handle()
	if err != nil {
		return err
	}
	k.dir = dir.use()
	p.w.kept = append(p.w.kept, k)
	p.w.files++
	p.w.paths += len(k.path)
	return p.due()
}

// placeKept reads what a window keeps, and replaces what does not have the content that was saved.
func (r *restorer) placeKept(ctx context.Context, kept []keptFile) error {
	if len(kept) == 0 {
		return nil
	}
	other := make([]bool, len(kept))
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, k := range kept {
		g.Go(func() error {
			err := r.verify(&placedFile{r: r, node: k.node, path: k.path, dir: k.dir, name: k.node.Name})
			if other[i] = errors.Is(err, ErrVerify); err != nil && !other[i] {
				r.problem(k.path, err)
			}
			return nil
		})
	}
	_ = g.Wait() // what is wrong with one file was reported
	p := newPlanner(ctx, r, func(w *window) error { return r.place(ctx, w) })
	defer p.close()
	for i, k := range kept {
		if !other[i] {
			continue
		}
		if k.first != nil {
			k.first.made = false
		}
		r.shared.kept.Add(^uint64(0))
		if k.action == Amended {
			r.shared.amended.Add(^uint64(0))
		}
		r.report(k.path, Replaced)
		if err := p.put(k.dir, k.node, k.path, Replaced, k.first); err != nil {
			return err
		}
	}
	return p.flush()
}

// confirm looks, if that was asked for, whether an entry has the attributes that it was given.
func (r *restorer) confirm(d *local.Dir, name string, n *tree.Node, path string) {
	if r.o.Verify == nil {
		return
	}
	different, err := r.applier.Differs(d, name, n)
	r.confirmed(path, different, err)
}

func (r *restorer) confirmed(path string, different []string, err error) {
	switch {
	case err != nil:
		r.problem(path, fmt.Errorf("verify: %w", err))
	case len(different) > 0:
		r.problem(path, fmt.Errorf("verify: the file system has not taken on what was set: %s", strings.Join(different, ", ")))
	}
}

type readBack struct {
	namer *chunk.Namer
	buf   []byte
}

func (b *readBack) compare(ctx context.Context, r *restorer, f *placedFile) error {
	file, err := f.dir.Open(f.name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != int64(f.node.Size) {
		return fmt.Errorf("%d bytes, not %d: %w", info.Size(), f.node.Size, ErrVerify)
	}
	offset := int64(0)
	return tree.Walk(f.node.Contents, r.rd.Fetcher(ctx), func(item tree.Item) error {
		at := offset
		offset += item.Length
		if item.Hole {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if int64(cap(b.buf)) < item.Length {
			b.buf = make([]byte, item.Length) // a chunk of that length was here: its bounds are known to hold
		}
		data := b.buf[:item.Length]
		if _, err := io.ReadFull(io.NewSectionReader(file, at, item.Length), data); err != nil {
			return fmt.Errorf("read at %d: %w: %w", at, err, ErrVerify)
		}
		if b.namer.ID(data) != item.ID {
			return fmt.Errorf("%d bytes at %d: %w", item.Length, at, ErrVerify)
		}
		return nil
	})
}
