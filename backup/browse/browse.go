// Package browse looks into archives: what stands at a path, what is below it, what a file holds, and where in many archives something is.
//
// Trees are read as the look goes on: memory grows with the depth of what is looked at, and with the number of archives, never with the number of entries.
package browse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// ErrNotFound says that an archive has nothing at a path.
var ErrNotFound = errors.New("not in the archive")

// Root returns the root directory of an archive, nil without one.
func Root(ctx context.Context, reader *repo.Reader, a *repo.Archive) (*tree.Node, error) {
	if a == nil {
		return nil, nil
	}
	encoded, err := reader.Metadata(ctx, a.Root.ID)
	if err != nil {
		return nil, err
	}
	nodes, err := tree.Decode(encoded)
	if err != nil {
		return nil, err
	}
	if len(nodes) != 1 || !nodes[0].IsDir() {
		return nil, fmt.Errorf("root tree %v is none", a.Root.ID)
	}
	return &nodes[0], nil
}

// LookUp finds an entry by a path in the archive, of which "" is the root, and returns it with that path from the root, without "." and "..". Symbolic links on the way are followed, if
// what they lead to is in the archive; so is one at the end that was itself named to be saved, or that a slash follows. What is found has the last name of the path.
func LookUp(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string) (*tree.Node, string, error) {
	root, err := Root(ctx, rd, a)
	if err != nil {
		return nil, "", fmt.Errorf("open archive %s: %w", a.ID, err)
	}
	at := path.Clean("/" + name)
	l := &lookup{ctx: ctx, rd: rd, way: []*tree.Node{root}, follow: slices.Contains(a.Paths, repo.Text(at)) || strings.HasSuffix(name, "/")}
	n, err := l.find("/" + name)
	if err != nil {
		return nil, "", err
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		at = path.Join("/", path.Join(l.names...)) // after a link, ".." goes up from where that leads
	}
	if at != "/" && n.Name != path.Base(at) {
		renamed := *n
		renamed.Name = path.Base(at)
		n = &renamed
	}
	return n, at, nil
}

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// A lookup goes through the directories of an archive.
type lookup struct {
	ctx    context.Context
	rd     *repo.Reader
	follow bool         // a link at the end, too
	way    []*tree.Node // from the root to where the lookup is
	names  []string     // of all but the root
}

func (l *lookup) find(whole string) (*tree.Node, error) {
	var end *tree.Node    // a link at the end that is followed
	var endNames []string // where it is
	links, last := 0, ""  // how many are followed, and what is to be said of the last
	rest := strings.Split(whole, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(l.names) > 0 {
				l.way, l.names = l.way[:len(l.way)-1], l.names[:len(l.names)-1]
			}
			continue
		}
		n, err := l.child(part)
		switch {
		case errors.Is(err, ErrNotFound) && end != nil:
			l.names = endNames // it leads out of the archive
			return end, nil
		case errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("%q: %s%w", path.Clean(whole), last, ErrNotFound)
		case err != nil:
			return nil, err
		}
		final := end == nil && !slices.ContainsFunc(rest, func(part string) bool { return part != "" && part != "." })
		if !n.IsSymlink() || final && !l.follow {
			l.way, l.names = append(l.way, n), append(l.names, part)
			continue
		}
		if final {
			end, endNames = n, append(slices.Clone(l.names), part)
		}
		if links++; links > maxLinks {
			return nil, fmt.Errorf("%q: it leads through too many symbolic links: %w", path.Clean(whole), ErrNotFound)
		}
		last = fmt.Sprintf("it leads through %q, a symbolic link to %q: ", path.Join("/", strings.Join(l.names, "/"), part), n.Target)
		if path.IsAbs(n.Target) {
			l.way, l.names = l.way[:1], nil
		}
		rest = append(strings.Split(n.Target, "/"), rest...)
	}
	return l.way[len(l.way)-1], nil
}

// child returns an entry of the directory where the lookup is.
func (l *lookup) child(name string) (*tree.Node, error) {
	dir := l.way[len(l.way)-1]
	if !dir.IsDir() {
		return nil, ErrNotFound
	}
	var damaged error // of which the entry may have been
	var bomb error
	var guard walk.Guard
	fetch := l.rd.Fetcher(l.ctx)
	get := func(id chunk.ID) ([]byte, error) {
		b, err := fetch(id)
		bomb = guard.Visit(id, len(b))
		return b, err
	}
	for child, err := range tree.NodesLeft(dir.Contents, get) {
		if stop := cmp.Or(l.ctx.Err(), bomb); stop != nil {
			return nil, fmt.Errorf("read %q: %w", path.Join("/", strings.Join(l.names, "/")), stop)
		}
		if err != nil {
			damaged = cmp.Or(damaged, err)
			continue
		}
		if child.Name == name {
			return child, nil
		}
		if child.Name > name {
			break
		}
	}
	if damaged != nil {
		return nil, fmt.Errorf("read %q: %w", path.Join("/", strings.Join(l.names, "/")), damaged)
	}
	return nil, ErrNotFound
}
