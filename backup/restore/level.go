package restore

import (
	"errors"
	"fmt"
	"io/fs"

	"nightjar/repo/tree"
)

// A planLevel is a directory that the walk is in. It is made when something is put into it, or when it was asked for itself.
type planLevel struct {
	node    *tree.Node
	path    string
	made    bool
	entered bool // the stack leads through it: in a dry run only if it was there before
	gone    bool // it cannot be made: reported, and what is in it is passed over
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
		action = Kept
		if !there.IsDir() {
			// Never into what a link leads to.
			if action, err = p.decide(above, level.node); err != nil || action != Replaced {
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
	p.report(level.path, action)
	if p.o.DryRun && action != Kept {
		return nil
	}
	if err := p.stack.Push(name); err != nil {
		return err
	}
	level.entered = true
	if action != Kept {
		return nil
	}
	return p.crossed(there.Device, p.stack.Top())
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
func (p *planner) leave() error {
	level := p.top()
	p.levels = p.levels[:len(p.levels)-1]
	if !level.made || level.gone {
		return nil
	}
	if p.o.DryRun {
		if !level.entered || len(p.levels) == 0 {
			return nil
		}
		return p.stack.Pop()
	}
	if err := p.large(level.node); err != nil {
		p.problem(level.path, err)
	}
	dir, err := p.handle()
	if err != nil {
		return fmt.Errorf("restore %q: %w", level.path, err)
	}
	p.dir = nil
	p.w.dirs = append(p.w.dirs, finishedDir{dir: dir, node: level.node, path: level.path})
	if len(p.levels) > 0 {
		if err := p.stack.Pop(); err != nil {
			return fmt.Errorf("restore %q: %w", level.path, err)
		}
	}
	return p.due()
}
