package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"nightjar/backup/browse"
	"nightjar/backup/content"
	"nightjar/backup/scan"
	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// MaxOpen is how many contents of a run may be open at the same time. Nobody waits for a place: one program may write
// them all, and close none before the last is open.
const MaxOpen = 256

// ErrTooMany says that MaxOpen contents are open.
var ErrTooMany = fmt.Errorf("%d contents are open", MaxOpen)

// A Run is a backup of contents that the caller writes. All its methods may be called from several goroutines.
//
// A path is relative, with slashes between its names. No name may be empty, "." or "..", or hold a NUL; a path may have
// 4,096 bytes. A path is a file or a folder, never both, also while it is written. Folders come and go with what is in
// them.
type Run struct {
	p       *pipeline
	ctx     context.Context
	fail    context.CancelCauseFunc
	finder  *browse.Finder
	shared  *content.Shared
	entries *entries
	told    sync.Once // that the predecessor cannot be read
}

// Save makes an archive of the contents that f writes, and commits it when f has returned nil and every content was
// closed or aborted. What f returns are labels, known at its end; they come before those of the template. When f fails,
// nothing is committed; what was sent serves the next run. f's context ends when something cannot be stored.
//
// Of the options those count that have nothing to do with paths. An empty run is ErrEmpty, unless AllowEmpty is set.
// Memory does not depend on sizes; each entry takes about 180 bytes.
func Save(ctx context.Context, r *repo.Repository, template *repo.Record, o Options, f func(ctx context.Context, run *Run) (repo.Labels, error)) (*repo.Archive, Statistics, error) {
	o.fill()
	return commit(ctx, r, template, &o, func(ctx context.Context, p *pipeline) (tree.Item, repo.Labels, error) {
		run, err := p.newRun(ctx, r)
		if err != nil {
			return tree.Item{}, nil, err
		}
		root, labels, err := run.write(f)
		if err == nil && len(root.below) == 0 && !o.AllowEmpty {
			err = fmt.Errorf("save a run without contents: %w", ErrEmpty)
		}
		if err != nil {
			return tree.Item{}, nil, err
		}
		item, err := run.trees(ctx, r, root)
		return item, labels, err
	})
}

func (p *pipeline) newRun(ctx context.Context, r *repo.Repository) (*Run, error) {
	run := &Run{p: p, entries: newEntries()}
	run.ctx, run.fail = context.WithCancelCause(ctx)
	var err error
	run.shared, err = content.Share(run.ctx, content.Options{
		Writer: p.writer, Rule: p.rule, Temp: r.Options().Temp, Savers: p.o.Workers, Start: p.sums.Start,
		Fail: run.fail, Before: run.before, Unread: run.unread, Read: p.read, Taken: func(n int64) { p.o.Progress.Bytes.Add(uint64(n)) },
	})
	if err != nil {
		return nil, err
	}
	if run.finder, err = browse.NewFinder(ctx, p.writer.Reader(), p.o.Previous); err != nil {
		run.unread("/", err)
	}
	return run, nil
}

// write has f write, and returns what there is then. Also when f panics, nothing is saved any more at its end.
func (r *Run) write(f func(context.Context, *Run) (repo.Labels, error)) (root *entry, labels repo.Labels, err error) {
	defer func() {
		r.fail(content.ErrEnded)
		r.shared.End()
	}()
	labels, err = f(r.ctx, r)
	root, open := r.entries.end()
	if failed := context.Cause(r.ctx); failed != nil {
		return nil, nil, failed
	}
	return root, labels, cmp.Or(err, open)
}

// Create begins a content at a path. What has the path stays there until the content is closed. An error is ErrBusy
// while another is written there, fs.ErrExist where a file is to be a folder or a folder a file, or where the hint says
// that it is new and it is not, ErrTooMany beyond MaxOpen.
func (r *Run) Create(path string, hint content.Hint) (*content.Content, error) {
	if err := context.Cause(r.ctx); err != nil {
		return nil, err
	}
	if hint.Mode == 0 {
		hint.Mode = 0o600
	}
	err := error(nil)
	if hint.Mode&^0o7777 != 0 {
		err = fmt.Errorf("mode %#o has more than permissions", hint.Mode)
	} else {
		err = r.entries.create(path, hint.New)
	}
	if err != nil {
		return nil, fmt.Errorf("create %q: %w", path, err)
	}
	return r.shared.New(content.Place{
		Path: path,
		Done: func(n *tree.Node) error {
			r.p.o.Progress.Files.Add(1)
			return r.entries.done(path, n)
		},
		Abort: func() { r.entries.abort(path) },
	}, hint), nil
}

// Has reports whether a chunk is stored that the run may use: see Content.Again.
func (r *Run) Has(id chunk.ID) (bool, error) { return r.p.writer.Has(id) }

// IndexEach has a run that dies lose no more than about n chunks of what it has stored. It is for the time before anything is written.
func (r *Run) IndexEach(n int) { r.p.writer.IndexEach(n) }

// Keep takes the predecessor's file at a path, with its attributes and unread, if all of it is still held; so reports
// what it returns.
func (r *Run) Keep(path string) (bool, error) {
	return r.keep(path, nil)
}

// Below is what is below a folder: files, and the bytes of their contents.
type Below struct{ Files, Bytes uint64 }

// KeepFolder is Keep for a folder with all that is below it, which costs no more than a file. The caller knows what that
// is, for the statistics. Nothing else can be put into the folder. Where something of the repository is known to be
// lost, no folder can be kept, but files can.
func (r *Run) KeepFolder(path string, below Below) (bool, error) { return r.keep(path, &below) }

// keep takes a file or, with what is below it, a folder.
func (r *Run) keep(path string, below *Below) (bool, error) {
	if _, err := parts(path); err != nil {
		return false, fmt.Errorf("keep %w", err)
	}
	if err := context.Cause(r.ctx); err != nil {
		return false, err
	}
	was := r.before(path)
	if was == nil || below == nil && !was.IsRegular() || below != nil && !was.IsDir() {
		return false, nil
	}
	holds := r.p.writer.Holds
	if below != nil {
		holds = r.p.writer.HoldsFolder
	}
	held, err := holds(was.Contents)
	if held && err == nil && was.XattrContents != nil {
		held, err = r.p.writer.Holds(*was.XattrContents)
	}
	if !held || err != nil {
		return false, err
	}
	n := *was
	if err := r.entries.put(path, &n, below); err != nil {
		return false, fmt.Errorf("keep %q: %w", path, err)
	}
	if below == nil {
		below = &Below{Files: 1, Bytes: n.Size}
	}
	r.p.o.Progress.Files.Add(below.Files)
	r.p.o.Progress.Bytes.Add(below.Bytes)
	return true, nil
}

// Rename gives a file that was closed or kept another path, in the place of what is closed there. What it is compared
// with in the next run goes by the new path.
func (r *Run) Rename(from, to string) error {
	if err := r.entries.rename(from, to); err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, to, err)
	}
	return nil
}

// Remove takes a file out of the run that was closed or kept. An error is fs.ErrNotExist if there is none.
func (r *Run) Remove(path string) error {
	if err := r.entries.remove(path); err != nil {
		return fmt.Errorf("remove %q: %w", path, err)
	}
	return nil
}

// Reset takes everything out of the run, so that it begins again. What was sent need not be sent again. It fails while
// a content is open.
func (r *Run) Reset() error {
	if err := r.entries.reset(); err != nil {
		return fmt.Errorf("begin again: %w", err)
	}
	return nil
}

// before returns the predecessor's entry at a path; nil: there is none, or it cannot be read, which costs space.
func (r *Run) before(path string) *tree.Node {
	n, err := r.finder.Find(path)
	if err != nil {
		r.unread(path, err)
	}
	return n
}

// unread reports that the predecessor cannot be read: once, since every content would meet it.
func (r *Run) unread(path string, err error) {
	if context.Cause(r.ctx) == nil {
		r.told.Do(func() { r.p.o.Problem(path, fmt.Errorf("compare with the archive before: %w", err)) })
	}
}

// trees makes the trees of all entries, in order of names.
func (r *Run) trees(ctx context.Context, in *repo.Repository, root *entry) (tree.Item, error) {
	b, err := r.p.newBuilder(ctx, in.NameKey())
	if err != nil {
		return tree.Item{}, err
	}
	if _, err := r.folder(b, root, "", "root"); err != nil {
		return tree.Item{}, err
	}
	s := r.p.sums
	if was := r.p.o.Previous; was != nil {
		if there := was.Statistics["files"] + was.Statistics["others"]; there > s.Changed+s.Unchanged {
			s.Deleted = there - s.Changed - s.Unchanged
		}
	}
	return b.root, nil
}

// folder makes the trees of a folder, which is as new as the newest that is in it.
func (r *Run) folder(b *builder, e *entry, path, name string) (newest tree.Time, err error) {
	was := r.before(path)
	n := &tree.Node{Name: name, Mode: tree.Directory | 0o755}
	if err := b.event(&scan.Event{Kind: scan.Enter, Node: n, Previous: was}); err != nil {
		return newest, err
	}
	for _, name := range slices.Sorted(maps.Keys(e.below)) {
		at := e.below[name]
		t := tree.Time{}
		if at.below != nil {
			t, err = r.folder(b, at, join(path, name), name)
		} else {
			t, err = r.file(b, at, join(path, name), name)
		}
		if err != nil {
			return newest, err
		}
		if newest.Time().Before(t.Time()) {
			newest = t
		}
	}
	n.Mtime, n.Ctime = newest, newest
	if len(e.below) == 0 {
		n.Mtime = tree.TimeOf(r.p.sums.Start)
		n.Ctime = n.Mtime
	}
	r.p.sums.Dirs++
	if was == nil {
		r.p.sums.NewDirs++
	}
	return newest, b.event(&scan.Event{Kind: scan.Leave})
}

func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

func (r *Run) file(b *builder, e *entry, path, name string) (tree.Time, error) {
	n, err := e.node()
	if err != nil {
		return tree.Time{}, err
	}
	n.Name = name
	s := r.p.sums
	if e.whole != nil {
		s.Dirs++
		s.Files += e.whole.Files
		s.Bytes += e.whole.Bytes
		s.Unchanged += e.whole.Files
		return n.Mtime, b.event(&scan.Event{Node: n})
	}
	s.Files++
	s.Bytes += n.Size
	switch was := r.before(path); {
	case was == nil || !was.IsRegular():
		s.New++
	case !content.SameContent(n, was):
		s.Changed++
	default:
		s.Unchanged++
	}
	return n.Mtime, b.event(&scan.Event{Node: n})
}
