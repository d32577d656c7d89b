package backup

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/backup/browse"
	"nightjar/backup/scan"
	"nightjar/chunk"
	"nightjar/internal/watch"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// batchesWait is how many batches may be on their way from the scan to the builder.
const batchesWait = 16

// A pipeline is a running backup.
type pipeline struct {
	o       *Options
	writer  *save.Writer
	rule    chunk.Rule
	namer   func() *chunk.Namer
	sums    *Statistics // of the builder
	stats   counters
	batches chan *scan.Batch // for workers
	ordered chan *scan.Batch // the same and others, for the builder
	jobs    chan *job
	ahead   int           // chunks of one file that are on their way
	busy    atomic.Int32  // workers that may still cut
	idle    chan struct{} // closed when busy is 0
	buffers sync.Pool
}

func newPipeline(r *repo.Repository, w *save.Writer, o *Options, sums *Statistics) *pipeline {
	p := &pipeline{
		o: o, writer: w, rule: r.Rule(), namer: r.Namer, sums: sums,
		batches: make(chan *scan.Batch, o.Workers), ordered: make(chan *scan.Batch, batchesWait),
		jobs: make(chan *job, o.Workers), ahead: 2 * o.Workers, idle: make(chan struct{}),
	}
	p.busy.Store(int32(o.Workers))
	p.buffers.New = func() any { b := make([]byte, 0, 2<<20); return &b }
	return p
}

func (o *Options) fill() {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = new(watch.Progress)
	}
	report, progress := o.Problem, o.Progress
	o.Problem = func(path string, err error) {
		progress.Problem.Add(1)
		if report != nil {
			report(path, err)
		}
	}
}

// Tree saves file trees. template has what the caller knows of the archive: host, job, and what else people gave it. The archive that is returned is committed.
func Tree(ctx context.Context, r *repo.Repository, template *repo.Record, o Options) (*repo.Archive, Statistics, error) {
	o.fill()
	return commit(ctx, r, template, &o, func(ctx context.Context, p *pipeline) (tree.Item, repo.Labels, error) {
		root, err := p.trees(ctx, r)
		return root, nil, err
	})
}

// commit commits an archive of what f saved.
func commit(ctx context.Context, r *repo.Repository, template *repo.Record, o *Options, f func(context.Context, *pipeline) (tree.Item, repo.Labels, error)) (*repo.Archive, Statistics, error) {
	if err := template.Fits(); err != nil {
		return nil, Statistics{}, fmt.Errorf("save archive: %w", err)
	}
	sums := Statistics{Start: o.Now()}
	var sent save.Sent
	a, err := save.Write(ctx, r, &sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		p := newPipeline(r, w, o, &sums)
		root, labels, err := f(ctx, p)
		if err != nil {
			return nil, err
		}
		a := *template
		if len(labels) > 0 {
			a.Labels = repo.Labels{}
			maps.Copy(a.Labels, template.Labels)
			maps.Copy(a.Labels, labels)
			if err := a.Fits(); err != nil {
				return nil, fmt.Errorf("save archive: %w", err)
			}
		}
		if err := w.Flush(); err != nil {
			return nil, err
		}
		sums.End = o.Now()
		sums.Unsettled, sums.Grown, sums.BytesRead = p.stats.unsettled.Load(), p.stats.grown.Load(), p.stats.bytesRead.Load()
		sums.add(&sent)
		a.Root = repo.Root{ID: root.ID, Length: root.Length}
		a.Start, a.End = sums.Start.UTC(), sums.End.UTC()
		a.Complete = o.Progress.Problem.Load() == 0
		a.Statistics = sums.Map()
		if o.Previous != nil {
			a.Predecessor = o.Previous.ID
		}
		return &a, nil
	})
	sums.End = o.Now()
	sums.add(&sent)
	return a, sums, err
}

func (s *Statistics) add(sent *save.Sent) {
	s.ChunksNew, s.ChunksKnown = sent.ChunksNew.Load(), sent.ChunksKnown.Load()
	s.ChunksDelta, s.BytesLiteral = sent.Deltas.Load(), sent.Literals.Load()
	s.BytesNew, s.BytesCompressed, s.MetadataNew = sent.PlainNew.Load(), sent.Frames.Load(), sent.Metadata.Load()
	s.ObjectsStored, s.BytesStored = sent.Objects.Load(), sent.Bytes.Load()
}

// trees runs scan, workers and builder.
func (p *pipeline) trees(ctx context.Context, r *repo.Repository) (tree.Item, error) {
	sel, err := scan.Select(p.o.Paths, p.o.Problem)
	if err != nil {
		return tree.Item{}, err
	}
	reader := p.writer.Reader()
	previous, err := browse.Root(ctx, reader, p.o.Previous)
	if err != nil {
		p.o.Problem("/", fmt.Errorf("compare with the archive before: %w", err))
	}
	b, err := p.newBuilder(ctx, r.NameKey())
	if err != nil {
		return tree.Item{}, err
	}
	g, ctx := errgroup.WithContext(ctx)
	for range p.o.Workers {
		w, err := p.newWorker()
		if err != nil {
			return tree.Item{}, err
		}
		g.Go(func() error { return w.run(ctx) })
	}
	g.Go(func() error { return b.run(ctx) })
	var walk scan.Counts
	g.Go(func() (err error) {
		defer close(p.ordered)
		defer close(p.batches)
		o := p.o.scan()
		if previous != nil {
			fetch := reader.Fetcher(ctx)
			o.Previous = &scan.Predecessor{Start: p.o.Previous.Start, Root: previous, Fetch: fetch, Holds: p.writer.Holds}
		}
		walk, err = scan.Walk(ctx, sel, o, func(b *scan.Batch) error { return p.pass(ctx, b) })
		return err
	})
	err = g.Wait()
	for b := range p.batches { // what nobody came to
		b.Close()
	}
	if err != nil {
		return tree.Item{}, err
	}
	p.sums.merge(&walk)
	return b.root, nil
}

// pass hands a batch to the builder and, if there is something to read, to a worker.
func (p *pipeline) pass(ctx context.Context, b *scan.Batch) error {
	if len(b.Reads) > 0 {
		select {
		case p.batches <- b:
		case <-ctx.Done():
			b.Close()
			return context.Cause(ctx)
		}
	}
	select {
	case p.ordered <- b:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// merge adds what the scan counted.
func (s *Statistics) merge(walk *scan.Counts) {
	s.Files += walk.Files
	s.Bytes += walk.Bytes
	s.Dirs += walk.Dirs
	s.Others += walk.Others
	s.Unchanged += walk.Unchanged
	s.NewDirs += walk.NewDirs
	s.ChangedDirs += walk.ChangedDirs
	s.Deleted += walk.Deleted
	s.Unread += walk.Unread
}
