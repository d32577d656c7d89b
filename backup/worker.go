package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"nightjar/backup/local"
	"nightjar/backup/pages"
	"nightjar/backup/scan"
	"nightjar/chunk"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A worker reads what batches ask for and saves it. It also saves chunks that other workers cut of large files.
type worker struct {
	p     *pipeline
	saver *save.Saver
	cut   *chunk.Cutter
	list  *tree.Lister
	items []tree.Item // of the file, as far as maxItems
	buf   []byte      // of files up to the smallest chunk
}

func (p *pipeline) newWorker() (*worker, error) {
	saver, err := p.writer.NewSaver()
	if err != nil {
		return nil, err
	}
	return &worker{
		p: p, saver: saver, cut: chunk.NewCutter(p.rule), list: tree.NewLister(saver.List),
		buf: make([]byte, p.rule.Min+1),
	}, nil
}

// run works until there are no batches left.
func (w *worker) run(ctx context.Context) error {
	for {
		select {
		case b, ok := <-w.p.batches:
			if !ok {
				return w.rest(ctx)
			}
			err := w.batch(ctx, b)
			b.Close()
			if err != nil {
				return err
			}
			close(b.Done)
		case j := <-w.p.jobs:
			j.run(w.saver)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rest helps others until all have finished.
func (w *worker) rest(ctx context.Context) error {
	if w.p.busy.Add(-1) == 0 {
		close(w.p.idle)
	}
	for {
		select {
		case j := <-w.p.jobs:
			j.run(w.saver)
		case <-w.p.idle:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *worker) batch(ctx context.Context, b *scan.Batch) error {
	for _, i := range b.Reads {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &b.Events[i]
		if err := w.file(ctx, e); err != nil {
			var stop *fatal
			if errors.As(err, &stop) {
				return fmt.Errorf("save %q: %w", e.Path, stop.err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("vanished before it was read: %w", err)
			}
			e.Skip = true
			w.p.o.Problem(e.Path, err)
		}
	}
	return nil
}

// fatal marks an error that is not the file's.
type fatal struct{ err error }

func (f *fatal) Error() string { return f.err.Error() }
func (f *fatal) Unwrap() error { return f.err }

// file reads and saves one file. The entry describes the file as it was when it was opened.
func (w *worker) file(ctx context.Context, e *scan.Event) error {
	f, err := e.Dir.Open(e.Node.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	// Files on disks know no deadline; some of those that the kernel makes up never end.
	_ = f.SetReadDeadline(time.Now().Add(patience))
	name, flags := e.Node.Name, e.Node.Flags
	before := tree.Node{Name: name}
	sparse, err := e.Dir.StatFile(f, &before)
	if err != nil {
		return err
	}
	if !before.IsRegular() {
		return errors.New("is no longer a regular file")
	}
	before.Name, before.Flags = name, flags
	if w.p.o.Now().Sub(before.Ctime.Time()) < scan.Settled {
		before.Flags |= tree.Unsettled
	}
	if before.Xattrs, err = e.Dir.XattrsFile(f); err != nil {
		w.p.o.Problem(e.Path, err)
	}
	var was *save.Past
	if len(e.Held)+len(e.Like) > 0 {
		was = w.p.writer.Past(e.Held, e.Like)
		defer was.Close()
	}
	page := pages.Size(f, int64(before.Size))
	whole := false // read to where it ends, whatever its size is said to be
	w.items = w.items[:0]
	switch {
	case sparse || slices.ContainsFunc(before.Xattrs, func(x tree.Xattr) bool { return !strings.HasPrefix(x.Name, tree.Reserved) }): // a block of attributes can make up for a hole in the count
		before.Contents, err = w.sparse(ctx, f, before.Size, page, was)
	case before.Size <= uint64(w.p.rule.Min):
		whole = true
		before.Contents, err = w.small(ctx, f, page, was)
	default:
		before.Contents, err = w.large(ctx, io.LimitReader(f, int64(before.Size)), page, was) // one that grows as fast as it is read has an end, too
	}
	if err != nil {
		return err
	}
	return w.settle(f, e, before, whole)
}

// longer reports whether a file goes on past a size.
func longer(f *os.File, size uint64) bool {
	n, _ := f.ReadAt(make([]byte, 1), int64(size))
	return n > 0
}

// patience is how long a file may take that has to be waited for.
const patience = 2 * time.Second

var (
	errChanged = errors.New("changed while it was read")
	errSize    = errors.New("has another size than the file system says")
)

// small saves a file that is one chunk, unless it has grown.
func (w *worker) small(ctx context.Context, f *os.File, page int, was *save.Past) (tree.Contents, error) {
	n, err := io.ReadFull(f, w.buf)
	switch {
	case err == nil: // it has grown past that
		info, err := f.Stat()
		if err != nil {
			return tree.Contents{}, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return tree.Contents{}, err
		}
		if info.Size() == 0 { // as of most files that the kernel makes up
			return w.large(ctx, f, page, was)
		}
		return w.large(ctx, io.LimitReader(f, info.Size()), page, was)
	case errors.Is(err, io.EOF):
		return tree.Contents{}, nil
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return tree.Contents{}, err
	}
	id, err := w.saver.ContentAt(w.buf[:n], save.Place{Page: page}, was)
	if err != nil {
		return tree.Contents{}, &fatal{err}
	}
	w.p.read(n)
	w.items = append(w.items, tree.Item{ID: id, Length: int64(n)})
	return tree.Contents{Items: []tree.Item{{ID: id, Length: int64(n)}}}, nil
}

func (w *worker) large(ctx context.Context, r io.Reader, page int, was *save.Past) (tree.Contents, error) {
	w.list.Reset()
	if err := w.pieces(ctx, r, save.Place{Page: page}, was); err != nil {
		return tree.Contents{}, err
	}
	return w.finish()
}

func (w *worker) finish() (tree.Contents, error) {
	c, err := w.list.Finish()
	if err != nil {
		return c, &fatal{err}
	}
	return c, nil
}

// sparse saves data and leaves holes out.
func (w *worker) sparse(ctx context.Context, f *os.File, size uint64, page int, was *save.Past) (tree.Contents, error) {
	w.list.Reset()
	for x := range local.Extents(f, int64(size)) {
		if x.Hole {
			if err := w.add(tree.Item{Length: x.Length, Hole: true}); err != nil {
				return tree.Contents{}, &fatal{err}
			}
			continue
		}
		r := io.NewSectionReader(f, x.Offset, x.Length)
		if err := w.pieces(ctx, r, save.Place{Offset: x.Offset, Page: page}, was); err != nil {
			return tree.Contents{}, err
		}
		if n, _ := r.Seek(0, io.SeekCurrent); n < x.Length { // it has shrunk: what follows would stand in the wrong place
			break
		}
	}
	return w.finish()
}

// A job is a chunk that any worker may save.
type job struct {
	data []byte
	at   save.Place // in the file
	was  *save.Past // of the file; nil: it is new
	id   chunk.ID
	err  error
	done chan struct{}
}

func (j *job) run(s *save.Saver) {
	j.id, j.err = s.ContentAt(j.data, j.at, j.was)
	close(j.done)
}

// pieces cuts a stream that stands at a place of its file, and adds its chunks to the list in order. Whoever is free saves them.
func (w *worker) pieces(ctx context.Context, r io.Reader, at save.Place, was *save.Past) error {
	w.cut.Reset(r)
	var waiting []*job
	collect := func(most int) error {
		for len(waiting) > most {
			j := waiting[0]
			waiting = waiting[1:]
			if err := w.await(ctx, j); err != nil {
				return err
			}
			if err := w.add(tree.Item{ID: j.id, Length: int64(len(j.data))}); err != nil {
				return &fatal{err}
			}
			w.p.read(len(j.data))
			w.p.buffers.Put(&j.data)
		}
		return nil
	}
	for {
		buf := *w.p.buffers.Get().(*[]byte)
		data, err := w.cut.Next(buf)
		if errors.Is(err, io.EOF) {
			return collect(0)
		}
		if err != nil {
			return errors.Join(err, collect(0))
		}
		j := &job{data: data, at: at, was: was, done: make(chan struct{})}
		at.Offset += int64(len(data))
		select {
		case w.p.jobs <- j:
		default:
			j.run(w.saver)
		}
		waiting = append(waiting, j)
		if err := collect(w.p.ahead); err != nil {
			return err
		}
	}
}

// await waits for a job, and works on others meanwhile: all workers may be waiting.
func (w *worker) await(ctx context.Context, j *job) error {
	for {
		select {
		case <-j.done:
			if j.err != nil {
				return &fatal{j.err}
			}
			return nil
		default:
		}
		select {
		case <-j.done:
		case other := <-w.p.jobs:
			other.run(w.saver)
		case <-ctx.Done():
			return &fatal{context.Cause(ctx)}
		}
	}
}

// counters that several workers share.
type counters struct{ unsettled, grown, bytesRead atomic.Uint64 }

func (p *pipeline) read(n int) {
	p.stats.bytesRead.Add(uint64(n))
	p.o.Progress.Bytes.Add(uint64(n))
}
