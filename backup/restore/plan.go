package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"nightjar/backup/local"
	"nightjar/backup/read"
	"nightjar/repo"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// A window is small enough to keep in memory, whatever the archive's size.
const (
	windowFiles  = 16384
	windowChunks = 32768
	windowPaths  = 16 << 20 // bytes
)

// openInWindow returns how many directories, and as many files of more than one chunk, a window may keep open: two windows are under way.
func openInWindow() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		limit.Cur = 1024
	}
	const others = 200
	return int(min(max(limit.Cur, others), 8192)-others)/4 + 16
}

// A planner walks an archive, makes what has no content, and plans the rest in windows. It is for one goroutine.
type planner struct {
	*restorer
	ctx    context.Context
	out    func(*window) error
	w      *window
	stack  *local.Stack // down to the deepest directory that was made; nil without a target
	levels []*planLevel
	dir    *handle // of the deepest directory, for files
	open   int     // in a window
}

func newPlanner(ctx context.Context, r *restorer, out func(*window) error) *planner {
	p := &planner{restorer: r, ctx: ctx, out: out, w: &window{}, open: openInWindow()}
	if r.target != nil {
		p.stack = local.NewStack(r.target)
	}
	return p
}

func (p *planner) close() {
	p.dir.release()
	p.w.discard()
	if p.stack != nil {
		p.stack.Close()
	}
}

// plan restores n, which is at a path in the archive: a directory's content, or one entry.
func (p *planner) plan(n *tree.Node, at string) error {
	target := &planLevel{node: n, path: at, made: true, entered: p.stack != nil, fresh: p.fresh, keeps: !p.made, locked: p.locked}
	if n.IsDir() && !p.made && p.target != nil && p.o.Overwrite != Never {
		target.keeps = !p.target.Begun()
	}
	if !target.fresh {
		target.seen = newSeen(p.device)
	}
	p.levels = []*planLevel{target}
	if p.target != nil && !target.fresh {
		p.unlock(target)
		p.tidy()
	}
	var err error
	if n.IsDir() {
		target.included, _ = p.o.Filter.Includes(at, true, false)
		if err = p.children(n, at); err == nil {
			err = p.leave(n)
		}
	} else {
		target.node, target.path = nil, path.Dir(at)
		if err = p.entry(n, true); err == walk.ErrSkip {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return p.flush()
}

func (p *planner) top() *planLevel { return p.levels[len(p.levels)-1] }

// children walks what is in a directory at a path of the archive.
func (p *planner) children(n *tree.Node, at string) error {
	w := walk.Walk{
		Get:   p.rd.Fetcher(p.ctx),
		Guard: new(walk.Guard),
		Node: func(n *tree.Node) error {
			if p.ctx.Err() != nil {
				return context.Cause(p.ctx)
			}
			if p.top().gone {
				return walk.ErrSkip
			}
			return p.entry(n, p.top().included)
		},
		Long: func(n *tree.Node) error {
			p.problem(p.top().path, fmt.Errorf("entry %q: %w", n.Name, tree.ErrLong))
			return nil
		},
		Left: func(n *tree.Node, err error) error {
			if err != nil || !n.IsDir() {
				return err
			}
			return p.leave(n)
		},
		Failed: func(_ walk.Use, err error) error {
			if p.ctx.Err() != nil {
				return context.Cause(p.ctx)
			}
			if errors.Is(err, repo.ErrUnavailable) {
				return fmt.Errorf("read directory %q: %w", p.top().path, err)
			}
			p.problem(p.top().path, fmt.Errorf("read directory: %w", err)) // what else is in it is put back
			return nil
		},
	}
	err := walk.Cause(w.Dir(n, at))
	if errors.Is(err, walk.ErrBomb) {
		return fmt.Errorf("restore archive %s: %w", p.archive, err)
	}
	return err
}

// entry plans one entry; it returns walk.ErrSkip for a directory that is passed over. above says that a directory above was asked for.
func (p *planner) entry(n *tree.Node, above bool) error {
	at := path.Join(p.top().path, n.Name)
	size := uint64(0)
	if n.IsRegular() {
		size = n.Size
	}
	is, below := p.o.Filter.Includes(at, n.IsDir(), above)
	if !is && !(below && n.IsDir()) || p.o.Filter.Excludes(at, n.IsDir(), size) {
		return walk.ErrSkip
	}
	if n.IsDir() {
		level := &planLevel{node: n, path: at, asked: is, included: is}
		p.levels = append(p.levels, level)
		if is && !p.ensure() {
			p.levels = p.levels[:len(p.levels)-1]
			return walk.ErrSkip
		}
		level.node = outline(n)
		return nil
	}
	if !p.ensure() {
		return nil
	}
	return p.leaf(n, at)
}

// leaf plans what is no folder.
func (p *planner) leaf(n *tree.Node, at string) error {
	var there tree.Node
	action, err := p.decide(p.top(), n, &there)
	if err != nil {
		p.problem(at, err)
		return nil
	}
	var first *firstLink // of the file that n is a name of, if it may have others
	further := false
	var whole *local.FileID // what is there and has the content
	if action == Kept && p.o.Overwrite == IfChanged {
		id := local.IDOf(&there)
		whole = &id
	}
	if n.IsHardLinked() && (action != Kept || whole != nil) {
		first, further = p.name(n)
	}
	switch {
	case whole == nil:
	case further && (first.kept == nil || *first.kept != *whole):
		action = Replaced // by another name of what the others are names of
	case !further:
		if action, err = p.amend(n, &there); err != nil {
			p.problem(at, err)
		}
		if first != nil && action != Replaced {
			first.made, first.id, first.kept = true, *whole, whole
		}
	}
	p.report(at, action)
	if action == Kept || action == Amended {
		p.shared.kept.Add(1)
		if action == Amended {
			p.shared.amended.Add(1)
		}
	}
	if p.o.DryRun {
		return nil
	}
	if action == Amended {
		if err := p.applier.Amend(p.stack.Top(), n.Name, *whole, n); err != nil {
			p.problem(at, err)
		} else {
			p.confirm(p.stack.Top(), n.Name, n, at)
		}
		if err := p.flagKept(n, at, *whole); err != nil {
			return err
		}
	}
	switch {
	case action == Kept || action == Amended:
		if whole == nil || p.verify == nil || !n.IsRegular() {
			return nil
		}
		return p.check(keptFile{node: n, path: at, action: action, first: first, further: further, id: *whole})
	case further:
		return p.link(plannedLink{first: first, node: n, path: at, action: action, whole: whole})
	}
	dir, err := p.handle()
	if err != nil {
		return err
	}
	return p.put(dir, n, at, action, first)
}

// put makes an entry, or plans its content. first is that of the file that n is the first name of, if it may have others.
func (p *planner) put(dir *handle, n *tree.Node, at string, action Action, first *firstLink) error {
	if err := p.large(n); err != nil {
		p.problem(at, err)
	}
	if n.IsRegular() {
		return p.file(dir, n, at, action, first)
	}
	made, err := p.special(dir, n, action, first)
	if err != nil {
		p.problem(at, err)
	} else {
		p.confirm(dir.Dir, n.Name, n, at)
	}
	if !made {
		return nil
	}
	p.shared.others.Add(1)
	p.o.Progress.Files.Add(1)
	return nil
}

// large fetches attributes that are too large for a tree.
func (p *planner) large(n *tree.Node) error {
	if n.XattrContents == nil || len(n.Xattrs) > 0 {
		return nil
	}
	if n.XattrContents.Size() > tree.MaxXattrs {
		return errors.New("extended attributes are out of bounds")
	}
	from := read.Open(p.ctx, p.rd, *n.XattrContents, nil)
	defer from.Close()
	encoded, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("read extended attributes: %w", err)
	}
	n.Xattrs, err = tree.DecodeXattrs(encoded)
	return err
}

// special makes an entry without content, and reports whether it is there.
func (p *planner) special(d *handle, n *tree.Node, action Action, first *firstLink) (made bool, err error) {
	name := n.Name
	if action == Replaced {
		name = beside(p.archive, n.Name)
		if err := ignoreMissing(d.Remove(name)); err != nil { // left by a run that died
			return false, err
		}
	}
	if n.IsSymlink() {
		err = d.Symlink(n.Target, name)
	} else {
		err = d.Mknod(name, n)
	}
	if err != nil {
		return false, d.refused(name, err)
	}
	var id local.FileID
	if first != nil || d.seen != nil {
		var here tree.Node
		if err := d.Stat(name, &here); err != nil {
			return false, err
		}
		id = local.IDOf(&here)
		d.seen.add(d.Dir, name, n.Name, id)
	}
	err = p.applier.Entry(d.Dir, name, n)
	if action == Replaced {
		if failed := d.Rename(name, n.Name); failed != nil {
			return false, errors.Join(err, failed, d.Remove(name))
		}
	}
	if first != nil {
		first.made, first.id = true, id
	}
	return true, err
}

// handle returns the deepest directory, to be used while its files are placed.
func (p *planner) handle() (*handle, error) {
	if p.dir == nil {
		d, err := p.stack.Top().Dup()
		if err != nil {
			return nil, err
		}
		p.dir = newHandle(d, p.top())
		p.w.handles++
	}
	return p.dir, nil
}

// file plans a file's content.
func (p *planner) file(dir *handle, n *tree.Node, at string, action Action, first *firstLink) error {
	f := &placedFile{r: p.restorer, node: n, path: at, dir: dir.use(), name: n.Name, first: first, parts: n.Contents.Level > 0 || len(n.Contents.Items) > 1}
	if action == Replaced {
		f.name, f.replaces = beside(p.archive, n.Name), true
	}
	f.pending.Store(1) // the planner's own
	f.holes = n.Contents.Level > 0 || slices.ContainsFunc(n.Contents.Items, func(i tree.Item) bool { return i.Hole })
	p.began(f)
	p.w.files++
	p.w.paths += len(at)
	if f.parts {
		p.w.parts++
	}
	offset := int64(0)
	err := tree.Walk(n.Contents, p.rd.Fetcher(p.ctx), func(item tree.Item) error {
		if !item.Hole {
			f.pending.Add(1)
			p.w.ids = append(p.w.ids, item.ID)
			p.w.places = append(p.w.places, place{f, offset, item.Length})
		}
		offset += item.Length
		return p.due()
	})
	switch {
	case err == nil:
		f.done()
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case errors.Is(err, repo.ErrUnavailable):
		return fmt.Errorf("read list of chunks of %q: %w", at, err)
	default:
		f.miss(fmt.Errorf("read list of chunks: %w", err))
	}
	return p.due()
}

// due passes the window on when it is large enough.
func (p *planner) due() error {
	w := p.w
	if w.files < windowFiles && len(w.links) < windowFiles && w.paths < windowPaths && len(w.ids) < windowChunks && w.parts < p.open && w.handles < p.open {
		return nil
	}
	return p.flush()
}

func (p *planner) flush() error {
	w := p.w
	p.w = &window{}
	return p.out(w)
}

type place struct {
	file   *placedFile
	offset int64
	length int64
}
