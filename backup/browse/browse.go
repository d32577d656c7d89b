// Package browse looks into archives: what stands at a path, what is below it, what a file holds, and where in many archives something is.
//
// Trees are read as the look goes on: memory grows with the depth of what is looked at, and with the number of archives, never with the number of entries.
package browse

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"nightjar/repo"
	"nightjar/repo/tree"
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

// LookUp finds an entry by its path in the archive, of which "" is the root, and the path of the directory that it is in. A path that leads through a symbolic link
// leads to nothing: ErrNotFound.
func LookUp(ctx context.Context, rd *repo.Reader, a *repo.Archive, name string) (*tree.Node, string, error) {
	n, err := Root(ctx, rd, a)
	if err != nil {
		return nil, "", fmt.Errorf("open archive %s: %w", a.ID, err)
	}
	name = path.Clean("/" + name)
	at := "/"
	if name == "/" {
		return n, at, nil
	}
	for part := range strings.SplitSeq(name[1:], "/") {
		if n.IsSymlink() {
			return nil, "", fmt.Errorf("%q: it leads through %q, a symbolic link to %q: %w", name, at, n.Target, ErrNotFound)
		}
		var found *tree.Node
		var damaged error // of which the entry may have been
		if n.IsDir() {
			for child, err := range tree.NodesLeft(n.Contents, rd.Fetcher(ctx)) {
				if err != nil {
					damaged = errors.Join(damaged, err)
					continue
				}
				if child.Name >= part {
					if child.Name == part {
						found = child
					}
					break
				}
			}
		}
		if found == nil && damaged != nil {
			return nil, "", fmt.Errorf("read %q: %w", at, damaged)
		}
		if found == nil {
			return nil, "", fmt.Errorf("%q: %w", name, ErrNotFound)
		}
		n, at = found, path.Join(at, part)
	}
	return n, path.Dir(name), nil
}
