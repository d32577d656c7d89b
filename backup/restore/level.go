package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// A planLevel is a directory that the walk is in. It is made when something is put into it, or when it was asked for itself.
type planLevel struct {
	node     *tree.Node // without content, and what it shares with its tree: the walk may give that up
	path     string
	made     bool
	asked    bool // for itself, not only for something below it
	included bool // so is what is in it
	entered  bool // the stack leads through it: in a dry run only if it was there before
	fresh    bool // this run has made it
	keeps    bool // the attributes that it had before
	seen     *seen
	way      []string      // from the target; nil: nobody asked
	sealed   *bool         // it takes new entries only; nil: nobody asked
	gone     bool          // it cannot be made: reported, and what is in it is passed over
	locked   *local.Locked // its mode kept its owner out; nil: it did not
}

// outline copies what making a directory takes of a node.
func outline(n *tree.Node) *tree.Node {
	o := *n
	o.Name, o.Owner.User, o.Owner.Group = strings.Clone(n.Name), strings.Clone(n.Owner.User), strings.Clone(n.Owner.Group)
	o.Contents, o.Xattrs = tree.Contents{}, nil
	for _, x := range n.Xattrs {
		o.Xattrs = append(o.Xattrs, tree.Xattr{Name: strings.Clone(x.Name), Value: bytes.Clone(x.Value)})
	}
	if n.XattrContents != nil {
		o.Xattrs = nil // that may be much, and can be read again
		c := tree.Contents{Level: n.XattrContents.Level, Items: slices.Clone(n.XattrContents.Items)}
		o.XattrContents = &c
	}
	return &o
}

// ensure makes the directories that the walk is in, and reports whether they are there.
func (p *planner) ensure() bool {
	for i, level := range p.levels {
		if level.gone {
			return false
		}
		if level.made {
			continue
		}
		if err := p.mkdir(p.levels[i-1], level); err != nil {
			p.problem(level.path, err)
			for _, below := range p.levels[i:] {
				below.gone = true
			}
			return false
		}
		level.made = true
		p.shared.dirs.Add(1)
	}
	return true
}

// mkdir makes a directory in the one above, or enters the one that is there.
func (p *planner) mkdir(above, level *planLevel) error {
	name := level.node.Name
	p.dir.release()
	p.dir = nil
	var there tree.Node
	err := p.free(above, name)
	if err == nil && !p.o.DryRun {
		err = p.stack.Top().Mkdir(name)
	}
	action := Created
	if errors.Is(err, fs.ErrExist) {
		if err = p.stack.Top().Stat(name, &there); err != nil {
			return err
		}
		if err = p.own(above, name, &there); err != nil {
			return err
		}
		action = Kept
		if !there.IsDir() {
			// Never into what a link leads to.
			if action, err = p.decide(above, level.node, &there); err != nil || action != Replaced {
				return errors.Join(err, errors.New("something else is there"))
			}
			if !p.o.DryRun {
				if err = p.stack.Top().Remove(name); err == nil {
					err = p.stack.Top().Mkdir(name)
				}
			}
		}
	}
	if err != nil {
		return err
	}
	if p.o.DryRun && action != Kept {
		p.report(level.path, action)
		return nil
	}
	if above.seen != nil {
		if err := p.stack.Top().Stat(name, &there); err != nil {
			return err
		}
		above.seen.add(p.stack.Top(), name, name, local.IDOf(&there))
	}
	if err := p.push(level); err != nil {
		if p.o.DryRun && there.Owner.UID == uint32(os.Geteuid()) && errors.Is(err, fs.ErrPermission) {
			p.unseen(level.path, err)
			p.report(level.path, Kept)
			return nil
		}
		return err
	}
	if err := p.enter(level, action, &there); err != nil {
		return errors.Join(err, p.stack.Pop())
	}
	level.entered = true
	return nil
}

// enter notes and reports what the directory that is on top of the stack now is.
func (p *planner) enter(level *planLevel, action Action, there *tree.Node) error {
	if action == Kept {
		level.seen, level.keeps = newSeen(there.Device), p.o.Overwrite == Never || !level.asked && !p.stack.Top().Begun()
		if !level.keeps {
			_ = p.large(level.node) // leave tells of it
			if different, err := p.applier.SelfDiffers(p.stack.Top(), level.node); err == nil && len(different) > 0 {
				action = Amended
			}
		}
		p.report(level.path, action)
		p.unlock(level)
		p.tidy()
		return p.crossed(there.Device, p.stack.Top())
	}
	p.report(level.path, action)
	level.fresh = true
	if !level.asked { // else whoever goes on gives it its attributes
		p.stack.Top().Begin()
	}
	return nil
}

// free tells a dry run whether a name is free, with fs.ErrExist if it is not.
func (p *planner) free(above *planLevel, name string) error {
	if !p.o.DryRun || !above.entered {
		return nil
	}
	var there tree.Node
	err := p.stack.Top().Stat(name, &there)
	if err == nil {
		return fs.ErrExist
	}
	return ignoreMissing(err)
}

// leave ends the deepest directory: its attributes come when the window that holds the last of its files is done.
func (p *planner) leave(n *tree.Node) error {
	level := p.top()
	last := len(p.levels) - 1
	if !level.made || level.gone {
		p.levels = p.levels[:last]
		return nil
	}
	if !p.o.DryRun && (!level.keeps || level.locked != nil) {
		finished := finishedDir{path: level.path, locked: level.locked}
		if !level.keeps {
			if err := p.large(n); err != nil {
				p.problem(level.path, err)
			}
			dir, err := p.handle()
			if err != nil {
				return fmt.Errorf("restore %q: %w", level.path, err)
			}
			finished.dir, finished.node = dir.use(), n
		}
		p.w.dirs = append(p.w.dirs, finished)
	}
	p.dir.release()
	p.dir = nil
	p.levels = p.levels[:last]
	if last > 0 && level.entered {
		if err := p.stack.Pop(); err != nil {
			return fmt.Errorf("restore %q: %w", level.path, err)
		}
	}
	return p.due()
}
