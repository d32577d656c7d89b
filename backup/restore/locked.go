package restore

import (
	"errors"
	"fmt"
	"io/fs"

	"nightjar/backup/local"
)

// push goes down into a directory. One of this user's whose mode keeps him out is opened to him until it is done.
func (p *planner) push(level *planLevel) error {
	err := p.stack.Push(level.node.Name)
	if p.o.DryRun || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	locked, failed := p.stack.PushLocked(level.node.Name)
	if failed != nil {
		return err
	}
	p.opened(level, locked)
	return nil
}

// unseen tells a dry run of a directory of this user's whose mode keeps him out, and which a restore would open.
func (r *restorer) unseen(path string, err error) {
	if r.o.Warn != nil {
		r.o.Warn(fmt.Errorf("look into %q: %w: a restore opens it, and finds what is in it only then", path, err))
	}
}

// unlock lets this user put entries into the directory on top of the stack. What cannot be put into it is reported.
func (p *planner) unlock(level *planLevel) {
	if p.o.DryRun || level.locked != nil {
		return
	}
	if locked, err := p.stack.Top().Unlock(); err == nil && locked != nil {
		p.opened(level, locked)
	}
}

// tidy takes away what a restore that was killed has left in the directory on top of the stack.
func (p *planner) tidy() {
	if !p.o.DryRun && p.o.Overwrite != Never {
		p.stack.Top().Tidy()
	}
}

// opened notes a directory that is to be closed again, whatever becomes of the restore.
func (p *planner) opened(level *planLevel, locked *local.Locked) {
	level.locked = locked
	p.note(locked)
}

func (r *restorer) note(locked *local.Locked) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if r.shared.locked == nil {
		r.shared.locked = map[*local.Locked]struct{}{}
	}
	r.shared.locked[locked] = struct{}{}
}

// settle ends what was done to a directory that is finished. One that got the attributes that were saved has its mode.
func (r *restorer) settle(locked *local.Locked, hasMode bool) error {
	if locked == nil {
		return nil
	}
	r.shared.mu.Lock()
	delete(r.shared.locked, locked)
	r.shared.mu.Unlock()
	if hasMode {
		locked.Forget()
		return nil
	}
	return locked.Lock()
}

// lock closes the directories that a restore which stopped has left open.
func (r *restorer) lock() {
	for locked := range r.shared.locked {
		_ = locked.Lock()
	}
	r.shared.locked = nil
}
