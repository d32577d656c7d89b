package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// A linkID is what the names of one file have in common. A file system that is in use gives an inode number away again, and to a file that is another by then.
type linkID struct {
	device, inode uint64
	kind          uint32
	size          uint64
	mtime         tree.Time
}

// A firstLink is what the further names of a hard-linked file are linked to: the first of its names that was put back, or kept since it had the content.
//
// Names are linked to the very file that it was found to be, and to nothing else that may have its name by then. The planner fills it in when it plans
// the first name; then it is for who places windows.
type firstLink struct {
	dir  []string // from the target
	name string
	made bool // it is there
	id   local.FileID

	left uint64        // of the planner: names that may still come
	kept *local.FileID // of the planner: which it is, if it was kept
}

// A plannedLink is a further name.
type plannedLink struct {
	first  *firstLink
	way    []string // from the target to dir
	dir    *handle
	node   *tree.Node
	path   string
	action Action
	whole  *local.FileID // what is there and has the content, as far as can be told
	kept   bool          // it counts as kept already
}

// name returns the file that n is a name of, and whether it has been met by another name before.
func (p *planner) name(n *tree.Node) (first *firstLink, further bool) {
	id := linkID{n.Device, n.Inode, n.Type(), n.Size, n.Mtime}
	first = p.links[id]
	if first == nil {
		// There may be millions: they share what they can, and keep no tree in memory.
		first = &firstLink{dir: p.way(len(p.levels) - 1), name: strings.Clone(n.Name), left: n.Links - 1}
		p.links[id] = first
		return first, false
	}
	if first.left--; first.left == 0 {
		delete(p.links, id)
	}
	return first, true
}

// link plans a further name, of which place and directory are filled in here.
func (p *planner) link(l plannedLink) error {
	dir, err := p.handle()
	if err != nil {
		return err
	}
	l.way, l.dir = p.way(len(p.levels)-1), dir.use()
	p.w.links = append(p.w.links, l)
	p.w.paths += len(l.path)
	return p.due()
}

// way returns the way from the target to a directory that the walk is in.
func (p *planner) way(depth int) []string {
	level := p.levels[depth]
	if level.way == nil && depth > 0 {
		above := p.way(depth - 1)
		level.way = append(above[:len(above):len(above)], strings.Clone(level.node.Name))
	}
	return level.way
}

// placeLinks makes further names. Where there is nothing that a name may be linked to, it is put back from content, and the next ones are linked to it.
func (r *restorer) placeLinks(ctx context.Context, links []plannedLink) error {
	for len(links) > 0 {
		var alone, wait []plannedLink
		pending := map[*firstLink]bool{}
		for _, l := range links {
			switch done, err := pending[l.first], error(nil); {
			case done:
				wait = append(wait, l)
				continue
			case l.first.made && l.whole != nil && *l.whole == l.first.id:
				continue
			case l.first.made:
				if err = r.link(&l); err == nil {
					r.shared.links.Add(1)
					if l.kept {
						r.shared.kept.Add(^uint64(0))
					}
					r.o.Progress.Files.Add(1)
					continue
				}
				if errors.Is(err, fs.ErrExist) || full(err) {
					r.failed(l.path, fmt.Errorf("make hard link: %w", err))
					continue
				}
				if !errors.Is(err, local.ErrOther) {
					r.problem(l.path, fmt.Errorf("put back as a file of its own: make hard link: %w", err))
				}
			}
			pending[l.first] = true
			alone = append(alone, l)
		}
		if err := r.placeAlone(ctx, alone); err != nil {
			return err
		}
		links = wait
	}
	return nil
}

// placeAlone puts names back from content, each the first of its file from now on.
func (r *restorer) placeAlone(ctx context.Context, links []plannedLink) error {
	if len(links) == 0 {
		return nil
	}
	p := newPlanner(ctx, r, func(w *window) error { return r.place(ctx, w) })
	defer p.close()
	for i := range links {
		l := &links[i]
		l.first.dir, l.first.name, l.first.made = l.way, l.node.Name, false
		if l.whole != nil && r.putRight(l) {
			l.first.made, l.first.id = true, *l.whole
			continue
		}
		if err := p.put(l.dir, l.node, l.path, l.action, l.first); err != nil {
			return err
		}
	}
	return p.flush()
}

// putRight keeps the content that a name has, for want of something to link it to, and gives it its attributes. It reports false if it may not.
func (r *restorer) putRight(l *plannedLink) bool {
	different, err := r.applier.Differs(l.dir.Dir, l.node.Name, l.node)
	if err == nil && len(different) > 0 {
		err = r.applier.Amend(l.dir.Dir, l.node.Name, *l.whole, l.node)
	}
	if errors.Is(err, local.ErrOther) {
		return false
	}
	if err != nil {
		r.problem(l.path, err)
	}
	if !l.kept {
		r.shared.kept.Add(1)
	}
	return true
}

// link makes a name, if what it is to be another name of is still that.
func (r *restorer) link(l *plannedLink) error {
	first, from := l.first, r.target
	for _, name := range first.dir {
		next, err := from.Sub(name)
		if from != r.target {
			from.Close()
		}
		if err != nil {
			return err
		}
		from = next
	}
	if from != r.target {
		defer from.Close()
	}
	name := l.node.Name
	if l.action == Replaced {
		name = beside(r.archive, name)
		l.dir.Remove(name)
	}
	if err := l.dir.Link(from, first.name, first.id, name); err != nil {
		return l.dir.refused(name, err)
	}
	l.dir.seen.add(l.dir.Dir, name, l.node.Name, first.id)
	if l.action != Replaced {
		return nil
	}
	err := l.dir.Rename(name, l.node.Name)
	l.dir.Remove(name) // still there if both were the same file
	return err
}
