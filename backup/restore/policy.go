package restore

import (
	"errors"
	"io/fs"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// decide says what becomes of an entry of the directory above, by the policy and by what is there, which it looks at.
func (p *planner) decide(above *planLevel, n, there *tree.Node) (Action, error) {
	if p.o.Overwrite == Refuse || !above.entered {
		return Created, nil
	}
	d := p.stack.Top()
	err := d.Stat(n.Name, there)
	if err == nil {
		err = p.own(above, n.Name, there)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Created, nil
	case err != nil:
		return Kept, err
	}
	action := Replaced
	switch p.o.Overwrite {
	case Never:
		action = Kept
	case IfNewer:
		if !older(there.Mtime, n.Mtime) || p.applier.Times.Same(d, there.Mtime, n.Mtime) {
			action = Kept
		}
	case IfChanged:
		same, err := p.alike(d, n, there)
		if err != nil {
			return Kept, err
		}
		if same {
			action = Kept
		}
	}
	if action == Replaced {
		if there.IsDir() && !n.IsDir() && !d.Empty(n.Name) {
			return Kept, errors.New("a directory is there")
		}
		if above.sealed == nil {
			sealed := d.AppendOnly()
			above.sealed = &sealed
		}
		if *above.sealed {
			return Kept, errors.New("something else is there, and the directory takes new entries only")
		}
	}
	return action, above.seen.found(d, n.Name, there)
}

// own returns an error if what was found in the directory above was put or kept there by this run, for another entry.
func (p *planner) own(above *planLevel, name string, there *tree.Node) error {
	if above.fresh || above.seen.taken(p.stack.Top(), name, there) {
		return errAlias
	}
	return nil
}

func older(a, b tree.Time) bool { return a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec }

// alike reports whether what is there has the content of n, as far as that shows without reading it.
func (p *planner) alike(d *local.Dir, n, there *tree.Node) (bool, error) {
	if there.Type() != n.Type() || there.Size != n.Size || there.Major != n.Major || there.Minor != n.Minor {
		return false, nil
	}
	if !p.applier.Times.Same(d, there.Mtime, n.Mtime) {
		return false, nil
	}
	if !n.IsSymlink() {
		return true, nil
	}
	target, err := d.Readlink(n.Name)
	return target == n.Target, err
}

// amend decides what becomes of an entry that keeps its content. Attributes of a file that has other names are not changed: whose names those are nobody knows.
func (p *planner) amend(n, there *tree.Node) (Action, error) {
	if err := p.large(n); err != nil {
		return Kept, err
	}
	different, err := p.applier.Differs(p.stack.Top(), n.Name, n)
	switch {
	case err != nil || len(different) == 0 && !p.applier.Unprotected(p.stack.Top(), n.Name, n):
		return Kept, err
	case there.Links > 1:
		return Replaced, nil
	}
	return Amended, nil
}

// beside returns a name for what is to replace name: one that no backup saves, and the same when the restore is tried again.
func beside(archive, name string) string {
	return local.Beside([]byte(archive + "/" + name))
}
