package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nightjar/backup/local"
	"nightjar/chunk"
	"nightjar/repo/tree"
)

// A window is a stretch of the archive whose content is fetched together.
type window struct {
	files, parts, handles int
	paths                 int // bytes of them
	ids                   []chunk.ID
	places                []place // of ids
	kept                  []keptFile
	links                 []plannedLink
	dirs                  []finishedDir
}

type finishedDir struct {
	dir    *handle    // nil: it keeps its attributes
	node   *tree.Node // that of dir
	path   string
	locked *local.Locked
}

type counts struct {
	files, dirs, others, links, bytes, kept, amended, verified, problems atomic.Uint64

	mu         sync.Mutex
	replaced   []*placedFile // complete, and beside what they replace
	unfinished map[*placedFile]struct{}
	flagged    []flagged                  // for the end of the window
	late       []flagged                  // for the end of the restore
	locked     map[*local.Locked]struct{} // directories to close again
}

func (r *restorer) statistics() Statistics {
	s := &r.shared
	return Statistics{
		Files: s.files.Load(), Dirs: s.dirs.Load(), Others: s.others.Load(), Links: s.links.Load(),
		Bytes: s.bytes.Load(), Kept: s.kept.Load(), Amended: s.amended.Load(), Verified: s.verified.Load(), Problems: s.problems.Load(),
		Read: r.rd.Reads(),
	}
}

// A handle is a directory that several users close together.
type handle struct {
	*local.Dir
	fresh bool // this run has made it
	seen  *seen
	users atomic.Int32
}

func newHandle(d *local.Dir, level *planLevel) *handle {
	h := &handle{Dir: d, fresh: level.fresh, seen: level.seen}
	h.users.Store(1)
	return h
}

func (h *handle) use() *handle {
	h.users.Add(1)
	return h
}

func (h *handle) release() {
	if h != nil && h.users.Add(-1) == 0 {
		h.Close()
	}
}

// place does what a window planned.
func (r *restorer) place(ctx context.Context, w *window) error {
	defer w.discard()
	if err := r.placeKept(ctx, w.kept); err != nil {
		return err
	}
	err := r.rd.Fetch(ctx, w.ids, func(i int, data []byte, err error) error {
		p := w.places[i]
		if err == nil && int64(len(data)) != p.length {
			err = fmt.Errorf("chunk %v has %d bytes, not %d", w.ids[i], len(data), p.length)
		}
		if err != nil {
			p.file.miss(err)
		} else {
			p.file.write(data, p.offset)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.replace(); err != nil {
		return err
	}
	if err := r.placeLinks(ctx, w.links); err != nil {
		return err
	}
	r.protect(&r.shared.flagged)
	for _, d := range w.dirs {
		r.finishDir(d)
	}
	return nil
}

// finishDir gives a directory, of which all that is in it was placed, its attributes.
func (r *restorer) finishDir(d finishedDir) {
	if d.dir != nil {
		if err := r.applier.Dir(d.dir.Dir, d.node); err != nil {
			r.problem(d.path, err)
		} else if r.o.Verify != nil {
			different, err := r.applier.SelfDiffers(d.dir.Dir, d.node)
			r.confirmed(d.path, different, err)
		}
	}
	if err := r.settle(d.locked, d.dir != nil); err != nil {
		r.problem(d.path, err)
	}
}

// discard closes what a window holds, but for its files.
func (w *window) discard() {
	for _, k := range w.kept {
		k.dir.release()
	}
	for _, l := range w.links {
		l.dir.release()
	}
	for _, d := range w.dirs {
		d.dir.release()
	}
	*w = window{}
}

// replace puts complete files in the place of those that they replace: after their content is durable.
func (r *restorer) replace() error {
	r.shared.mu.Lock()
	replaced := r.shared.replaced
	r.shared.replaced = nil
	r.shared.mu.Unlock()
	if len(replaced) == 0 {
		return nil
	}
	if err := r.sync(); err != nil {
		r.shared.mu.Lock()
		defer r.shared.mu.Unlock()
		r.shared.replaced = append(r.shared.replaced, replaced...) // to be taken away
		return err
	}
	for _, f := range replaced {
		if err := f.dir.Rename(f.name, f.node.Name); err != nil {
			r.problem(f.path, err)
			f.dir.Remove(f.name)
		} else {
			f.there()
		}
		f.dir.release()
	}
	return nil
}

// sync makes durable what was written, on every file system that is in the target.
func (r *restorer) sync() error {
	r.shared.mu.Lock()
	dirs := append([]*local.Dir{r.target}, slices.Collect(maps.Values(r.mounts))...)
	r.shared.mu.Unlock()
	for _, d := range dirs {
		if err := d.SyncFS(); err != nil {
			return fmt.Errorf("make %s durable: %w", r.o.Target, err)
		}
	}
	return nil
}

// crossed notes the file system of a directory that was there, and that the walk has entered.
func (r *restorer) crossed(device uint64, d *local.Dir) error {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if device == r.device || r.mounts[device] != nil {
		return nil
	}
	mounted, err := d.Dup()
	if err != nil {
		return err
	}
	r.mounts[device] = mounted
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// A placedFile is a file that is being put back. Its chunks come in any order.
type placedFile struct {
	r        *restorer
	node     *tree.Node
	path     string
	dir      *handle
	name     string     // what it is called until it is complete
	first    *firstLink // if it may have other names
	replaces bool
	parts    bool // it has more than one chunk
	holes    bool

	pending atomic.Int64 // chunks to come, and one for the planner
	behind  atomic.Int64 // bytes that were written since the kernel was last asked to take them to the disk

	mu   sync.Mutex
	file *os.File
	id   local.FileID // if somebody will ask
	made bool
	some bool  // of its content was written
	lost error // why a part cannot be had, if the rest is kept
	err  error
}

// open returns the file, made when it is first asked for.
func (f *placedFile) open() (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.file != nil {
		return f.file, f.err
	}
	file, err := f.dir.Create(f.name)
	if errors.Is(err, fs.ErrExist) && f.replaces { // left by a run that died
		if err = f.dir.Remove(f.name); err == nil {
			file, err = f.dir.Create(f.name)
		}
	}
	f.file, f.err, f.made = file, f.dir.refused(f.name, err), err == nil
	if f.made && (f.first != nil || f.dir.seen != nil || f.r.applier.HasFlags(f.node)) {
		f.id, f.err = local.IDOfFile(file)
		f.dir.seen.add(f.dir.Dir, f.name, f.node.Name, f.id)
	}
	return file, f.err
}

// there notes that the file has its name.
func (f *placedFile) there() {
	if f.first != nil {
		f.first.made, f.first.id = true, f.id
	}
	f.r.flag(f.dir, f.node, f.path, f.id)
}

// write puts one chunk into its place.
func (f *placedFile) write(data []byte, offset int64) {
	file, err := f.open()
	if err == nil {
		_, err = file.WriteAt(data, offset)
	}
	if err != nil {
		f.fail(err)
		return
	}
	f.writeBehind(file, len(data))
	f.r.shared.bytes.Add(uint64(len(data)))
	f.r.o.Progress.Bytes.Add(uint64(len(data)))
	if f.r.o.Partial {
		f.mu.Lock()
		f.some = true
		f.mu.Unlock()
	}
	f.done()
}

// aheadOfSync is after how many bytes of a file the disk begins with them.
const aheadOfSync = 8 << 20

// writeBehind has the disk begin with what was written of a large file while the rest is made, or all of it would wait for the end. It makes nothing durable: that is for sync,
// which also tells what went wrong.
func (f *placedFile) writeBehind(file *os.File, n int) {
	if f.behind.Add(int64(n)) >= aheadOfSync {
		f.behind.Store(0)
		_ = unix.SyncFileRange(int(file.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
}

// fail notes why the file cannot be had.
func (f *placedFile) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.done()
}

// done counts down, and finishes the file when all has come.
func (f *placedFile) done() {
	if f.pending.Add(-1) == 0 {
		f.finish()
	}
}

func (f *placedFile) finish() {
	file, err := f.open()
	f.r.ended(f)
	if err == nil && f.lost != nil {
		err = f.keep(file)
	}
	if err == nil {
		if size := int64(f.node.Size); f.holes {
			err = file.Truncate(size)
		}
		if err == nil && f.r.verify != nil {
			err = f.r.verify(f)
		}
		if err == nil {
			if err := f.r.applier.File(file, f.node); err != nil {
				f.r.problem(f.path, err) // the content is there
			} else {
				f.r.confirm(f.dir.Dir, f.name, f.node, f.path)
			}
		}
	}
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	if err != nil {
		if f.made {
			f.dir.Remove(f.name)
		}
		f.r.failed(f.path, err)
		f.dir.release()
		return
	}
	f.r.shared.files.Add(1)
	f.r.o.Progress.Files.Add(1)
	if f.replaces {
		f.r.shared.mu.Lock()
		defer f.r.shared.mu.Unlock()
		f.r.shared.replaced = append(f.r.shared.replaced, f)
		return
	}
	f.there()
	f.dir.release()
}

// began and ended keep the files of which something may still come.
func (r *restorer) began(f *placedFile) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if r.shared.unfinished == nil {
		r.shared.unfinished = map[*placedFile]struct{}{}
	}
	r.shared.unfinished[f] = struct{}{}
}

func (r *restorer) ended(f *placedFile) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	delete(r.shared.unfinished, f)
}

// abandon takes away what is incomplete when a restore stops.
func (r *restorer) abandon() {
	for f := range r.shared.unfinished {
		if f.file != nil {
			f.file.Close()
		}
		if f.made {
			f.dir.Remove(f.name)
		}
		f.dir.release()
	}
	for _, f := range r.shared.replaced {
		f.dir.Remove(f.name)
		f.dir.release()
	}
}
