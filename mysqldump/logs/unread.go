package logs

import (
	"errors"
	"fmt"
)

// Unread returns the Entry of a file of an archive of which only the name and the size are known, for Run alone: it has Options.Read read
// what it needs more of. So what a run costs does not grow with the logs that are only kept. All of the archive have to be of one history.
func Unread(name string, size uint64) (Entry, error) {
	e := Entry{Size: size, unread: true}
	if err := e.name(name); err != nil {
		return Entry{}, fmt.Errorf("take binary log %q: %w", name, err)
	}
	return e, nil
}

// read has all of the entries of a log's folder read, unless the log's is.
func (r *run) read(e *Entry) error {
	if !e.unread {
		return nil
	}
	if r.o.Read == nil {
		return errors.New("nobody reads what the archive before has")
	}
	folder := e.Folder()
	all, err := r.o.Read(folder)
	if err != nil {
		return fmt.Errorf("read what the archive before has in %s: %w", folder, err)
	}
	known := map[string]Entry{}
	for _, one := range all {
		known[one.Path()] = one
	}
	take := func(e *Entry) {
		if one, there := known[e.Path()]; there && one.Size == e.Size {
			*e = one
		}
	}
	for i := range r.before {
		if b := &r.before[i]; b.unread && b.History == e.History && b.Folder() == folder {
			take(b)
		}
	}
	if take(e); e.unread {
		return fmt.Errorf("read what the archive before has in %s: %s is not there", folder, e.Name)
	}
	return nil
}
