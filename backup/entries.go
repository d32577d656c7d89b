package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"nightjar/backup/content"
	"nightjar/chunk"
	"nightjar/repo/tree"
)

// maxPath bounds the path of a content, in bytes, as the kernel does.
const maxPath = 4096

// ErrBusy says that a path is being written, or is a folder in which something is.
var ErrBusy = errors.New("it is being written")

// entries are what a run has by its paths. Folders are there while something is in them. They are safe for concurrent use.
type entries struct {
	mu      sync.Mutex
	root    *entry
	open    int // contents
	ended   bool
	encoder *tree.Encoder
	encoded []byte // what it made last
}

// An entry is a folder or a file.
type entry struct {
	below map[string]*entry // nil: it is a file
	open  bool              // somebody writes it
	file  []byte            // a tree of what was finished last, which takes a third of a Node's memory; nil: nothing
	whole *Below            // file is a folder of the predecessor, with this in it; nil: it is a file
}

// node returns what was finished last.
func (e *entry) node() (*tree.Node, error) {
	nodes, err := tree.Decode(e.file)
	if err != nil {
		return nil, err
	}
	return &nodes[0], nil
}

func newEntries() *entries {
	e := &entries{root: &entry{below: map[string]*entry{}}}
	e.encoder = tree.NewEncoder(nil, func(t []byte) (chunk.ID, error) { e.encoded = bytes.Clone(t); return chunk.ID{}, nil })
	return e
}

// encode encodes a finished entry, whose attributes lie inline or are saved.
func (e *entries) encode(n *tree.Node) ([]byte, error) {
	e.encoder.Reset()
	if err := e.encoder.Add(n); err != nil {
		return nil, err
	}
	_, err := e.encoder.Finish()
	return e.encoded, err
}

// parts returns the names in a path, all of which are valid.
func parts(path string) ([]string, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("path of %d bytes, more than %d", len(path), maxPath)
	}
	names := strings.Split(path, "/")
	for _, name := range names {
		if err := tree.ValidName(name); err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
	}
	return names, nil
}

// file returns the file at a path, which is made, folders and all, when it is missing.
func (e *entries) file(path string) (*entry, error) {
	names, err := parts(path)
	if err != nil {
		return nil, err
	}
	if e.ended {
		return nil, content.ErrEnded
	}
	at := e.root
	for i, name := range names {
		if at.below == nil {
			what := "a file"
			if at.whole != nil {
				what = "a folder that is kept as a whole"
			}
			return nil, fmt.Errorf("%q is %s: %w", strings.Join(names[:i], "/"), what, fs.ErrExist)
		}
		next := at.below[name]
		if next == nil {
			break
		}
		at = next
		if i == len(names)-1 && (at.below != nil || at.whole != nil) {
			return nil, fmt.Errorf("%q is a folder: %w", path, fs.ErrExist)
		}
	}
	at = e.root
	for i, name := range names {
		next := at.below[name]
		if next == nil {
			next = &entry{}
			if i < len(names)-1 {
				next.below = map[string]*entry{}
			}
			at.below[name] = next
		}
		at = next
	}
	return at, nil
}

// create takes a path for somebody who writes it. If it is to be new, nothing may have been finished there.
func (e *entries) create(path string, isNew bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, err := e.file(path)
	if err != nil {
		return err
	}
	if f.open {
		return ErrBusy
	}
	if isNew && f.file != nil {
		return fmt.Errorf("the run has it already: %w", fs.ErrExist)
	}
	if e.open == MaxOpen {
		e.prune(path)
		return ErrTooMany
	}
	f.open = true
	e.open++
	return nil
}

// done ends the writing of a path, which has the node from now on.
func (e *entries) done(path string, n *tree.Node) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	encoded, err := e.encode(n)
	if err != nil {
		return err
	}
	f := e.at(path)
	f.file, f.open = encoded, false
	e.open--
	return nil
}

// abort ends the writing of a path, which keeps what it has.
func (e *entries) abort(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at(path).open = false
	e.open--
	e.prune(path)
}

// put is create and done. A folder of the predecessor comes with what is in it.
func (e *entries) put(path string, n *tree.Node, whole *Below) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	encoded, err := e.encode(n)
	if err != nil {
		return err
	}
	f, err := e.file(path)
	switch {
	case err != nil:
		return err
	case f.open:
		return ErrBusy
	}
	f.file, f.whole = encoded, whole
	return nil
}

// at returns what is at a path; nil: nothing.
func (e *entries) at(path string) *entry {
	at := e.root
	for name := range strings.SplitSeq(path, "/") {
		if at = at.below[name]; at == nil {
			return nil
		}
	}
	return at
}

// finished returns the file at a path that nobody is writing.
func (e *entries) finished(path string) (*entry, error) {
	switch f := e.at(path); {
	case e.ended:
		return nil, content.ErrEnded
	case f == nil || f.file == nil && !f.open:
		return nil, fs.ErrNotExist
	case f.open:
		return nil, ErrBusy
	default:
		return f, nil
	}
}

func (e *entries) remove(path string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, err := e.finished(path)
	if err != nil {
		return err
	}
	f.file, f.whole = nil, nil
	e.prune(path)
	return nil
}

func (e *entries) rename(from, to string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.finished(from)
	if err != nil || from == to {
		return err
	}
	n, err := e.file(to)
	if err == nil && n.open {
		err = ErrBusy
	}
	if err != nil {
		return err
	}
	n.file, n.whole, old.file, old.whole = old.file, old.whole, nil, nil
	e.prune(from)
	return nil
}

// reset forgets all, unless something is being written.
func (e *entries) reset() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended:
		return content.ErrEnded
	case e.open > 0:
		return ErrBusy
	}
	e.root.below = map[string]*entry{}
	return nil
}

// prune removes a file that nothing was put into, and the folders that are empty then.
func (e *entries) prune(path string) {
	names := strings.Split(path, "/")
	way := []*entry{e.root}
	for _, name := range names {
		way = append(way, way[len(way)-1].below[name])
	}
	for i := len(names) - 1; i >= 0; i-- {
		if f := way[i+1]; f.open || f.file != nil || len(f.below) > 0 {
			return
		}
		delete(way[i].below, names[i])
	}
}

// end takes no more, and returns the root, or an error if something is still being written.
func (e *entries) end() (*entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if e.open == 0 {
		return e.root, nil
	}
	return nil, fmt.Errorf("save %q: it was neither closed nor aborted (of %d)", e.root.firstOpen(""), e.open)
}

func (e *entry) firstOpen(path string) string {
	for _, name := range slices.Sorted(maps.Keys(e.below)) {
		if b := e.below[name]; b.open {
			return path + name
		} else if found := b.firstOpen(path + name + "/"); found != "" {
			return found
		}
	}
	return ""
}
