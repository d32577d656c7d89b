package local

import (
	"errors"
	"fmt"
)

// maxOpen is how many directories a Stack keeps open besides its root.
const maxOpen = 64

var errMoved = errors.New("directory moved while it was read")

// A Stack is the way from a root down to a directory, at any depth with at most 64 handles. Directories further up are closed, and opened
// again when they are needed. It is for one goroutine.
type Stack struct {
	levels []level
	open   int // levels[open:] are open, and so is the root, levels[0]
}

type level struct {
	name string
	open func(*Dir, string) (*Dir, error) // from the level above
	dir  *Dir                             // nil if closed
	id   FileID                           // set when it is closed
}

// NewStack returns a Stack of root alone. It never closes root.
func NewStack(root *Dir) *Stack {
	return &Stack{levels: []level{{dir: root}}, open: 1}
}

// Top returns the deepest directory. It is the Stack's, and good until the next Push or Pop: Dup keeps it longer. It is nil after a Pop that failed.
func (s *Stack) Top() *Dir { return s.levels[len(s.levels)-1].dir }

// Push goes down into a directory of Top, and stays if that fails.
func (s *Stack) Push(name string) error { return s.push(name, (*Dir).Sub) }

// PushThrough is Push for a symbolic link to a directory.
func (s *Stack) PushThrough(name string) error { return s.push(name, (*Dir).through) }

// PushLocked is Push for a directory that SubLocked has to open.
func (s *Stack) PushLocked(name string) (locked *Locked, err error) {
	sub, locked, err := s.Top().SubLocked(name)
	if err != nil {
		return nil, err
	}
	err = s.push(name, func(*Dir, string) (*Dir, error) { return sub, nil })
	if err != nil {
		return nil, errors.Join(err, locked.Lock())
	}
	s.levels[len(s.levels)-1].open = (*Dir).Sub
	return locked, nil
}

func (s *Stack) push(name string, open func(*Dir, string) (*Dir, error)) error {
	sub, err := open(s.Top(), name)
	if err != nil {
		return err
	}
	if len(s.levels)-s.open >= maxOpen {
		l := &s.levels[s.open]
		if l.id, err = l.dir.ID(); err != nil {
			_ = sub.Close() // it was only read from
			return fmt.Errorf("open directory %s: %w", name, err)
		}
		_ = l.dir.Close()
		l.dir = nil
		s.open++
	}
	s.levels = append(s.levels, level{name: name, open: open, dir: sub})
	return nil
}

// Pop goes up. After an error the Stack has gone up nevertheless, but the directory there was moved or removed meanwhile and is lost: only Pop
// and Close may follow.
func (s *Stack) Pop() error {
	last := len(s.levels) - 1
	if last == 0 {
		return errors.New("leave directory: at the root")
	}
	left := s.levels[last].dir
	s.levels = s.levels[:last]
	var err error
	if top := last - 1; top > 0 && s.levels[top].dir == nil {
		err = s.reopen(left)
	}
	s.open = min(s.open, len(s.levels))
	if left != nil {
		_ = left.Close() // it was only read from
	}
	return err
}

// reopen opens the top again: as the parent of below or, if that was moved or lost, by the names from the root. Whatever it finds there
// has to be the directory that was closed.
func (s *Stack) reopen(below *Dir) error {
	top := &s.levels[len(s.levels)-1]
	if below != nil {
		if dir, err := below.parent(); err == nil {
			if top.accept(dir) {
				s.open = len(s.levels) - 1
				return nil
			}
		}
	}
	dir, err := s.descend()
	if err != nil {
		return fmt.Errorf("return to directory %s: %w: %w", top.name, errMoved, err)
	}
	if !top.accept(dir) {
		return fmt.Errorf("return to directory %s: %w", top.name, errMoved)
	}
	s.open = len(s.levels) - 1
	return nil
}

// descend opens what is now at the top's path.
func (s *Stack) descend() (*Dir, error) {
	dir := s.levels[0].dir
	for i, l := range s.levels[1:] {
		next, err := l.open(dir, l.name)
		if i > 0 {
			_ = dir.Close()
		}
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// accept takes dir if it is the level's, and closes it otherwise.
func (l *level) accept(dir *Dir) bool {
	if id, err := dir.ID(); err != nil || id != l.id {
		_ = dir.Close()
		return false
	}
	l.dir = dir
	return true
}

// Close closes all but the root.
func (s *Stack) Close() {
	for _, l := range s.levels[1:] {
		if l.dir != nil {
			_ = l.dir.Close()
		}
	}
	s.levels, s.open = s.levels[:1], 1
}
