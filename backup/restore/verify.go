package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

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
