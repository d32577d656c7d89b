package tree

import (
	"errors"
	"fmt"
	"math"
)

// Decode decodes and validates a whole tree. The nodes are the caller's to keep; their strings share one copy of the tree.
func Decode(tree []byte) ([]Node, error) {
	if len(tree) > MaxTree {
		return nil, fmt.Errorf("decode tree: %d bytes, more than %d", len(tree), MaxTree)
	}
	d := decoder{cursor: newCursor(string(tree))}
	nodes, err := d.tree()
	if err != nil {
		return nil, fmt.Errorf("decode tree: %w", err)
	}
	return nodes, nil
}

type decoder struct {
	cursor
	owners []Owner
	used   int    // owners that an entry has referred to
	spare  []Item // memory for items, allocated in blocks
}

func (d *decoder) tree() ([]Node, error) {
	d.Version(version)
	d.readOwners()
	n := d.Count(math.MaxInt, minNode)
	if n == 0 {
		d.Fail(errors.New("no entries")) // an empty directory has no tree, so that it has one encoding
		return nil, d.Err()
	}
	nodes := make([]Node, n)
	last := ""
	for i := range nodes {
		node := &nodes[i]
		d.node(node)
		if node.Name <= last {
			d.Fail(fmt.Errorf("name does not follow %q", last))
		}
		if err := d.Err(); err != nil {
			return nil, fmt.Errorf("entry %d %q: %w", i, node.Name, err)
		}
		last = node.Name
	}
	if d.used < len(d.owners) {
		d.Fail(errors.New("owner without an entry"))
	}
	return nodes, d.End()
}

func (d *decoder) readOwners() {
	n := d.Count(maxOwners, minOwner)
	d.owners = make([]Owner, n)
	seen := make(map[Owner]struct{}, n)
	for i := range d.owners {
		d.owners[i] = d.owner()
		seen[d.owners[i]] = struct{}{}
		if len(seen) <= i {
			d.Fail(errors.New("owner listed twice"))
		}
		if d.Err() != nil {
			return
		}
	}
}

// refer reads an index into owners. Owners lie in the order in which entries first refer to them.
func (d *decoder) refer() Owner {
	i := d.Int(maxOwners)
	if i > d.used || i >= len(d.owners) {
		d.Fail(fmt.Errorf("owner %d out of order", i))
		return Owner{}
	}
	d.used = max(d.used, i+1)
	return d.owners[i]
}

func (d *decoder) node(n *Node) {
	n.Name = d.Sized(MaxName)
	n.Mode = uint32(d.Uint(math.MaxUint16))
	n.Flags = d.Uint(math.MaxUint64)
	n.Owner = d.refer()
	n.Mtime = d.time()
	n.Ctime = d.time()
	n.Inode = d.Uint(math.MaxUint64)
	n.Links = d.Uint(math.MaxUint64)
	if n.IsHardLinked() {
		n.Device = d.Uint(math.MaxUint64)
	}
	n.Size = d.Uint(math.MaxInt64)
	if !n.IsRegular() && n.Size != 0 {
		d.Fail(errors.New("size of what is no regular file"))
	}
	d.xattrs(n)
	switch n.Type() {
	case Regular, Directory:
		n.Contents = d.contents()
	case Symlink:
		n.Target = d.Sized(MaxTarget)
	case BlockDevice, CharDevice:
		n.Major = uint32(d.Uint(math.MaxUint32))
		n.Minor = uint32(d.Uint(math.MaxUint32))
	}
	if d.Err() == nil {
		if err := n.check(); err != nil {
			d.Fail(err)
		}
	}
}

func (d *decoder) xattrs(n *Node) {
	switch form := d.Uint(xattrsContents); form {
	case xattrsInline:
		blob := d.Sized(InlineXattrs)
		if d.Err() != nil {
			return
		}
		xattrs, err := decodeXattrs(blob)
		if err != nil {
			d.Fail(err)
		}
		n.Xattrs = xattrs
	case xattrsContents:
		c := d.contents()
		n.XattrContents = &c
	}
}

func (d *decoder) contents() Contents {
	return Contents{Level: d.Int(MaxLevel), Items: d.items(d.alloc)}
}

// alloc returns memory for n items, which most entries have few of.
func (d *decoder) alloc(n int) []Item {
	if n > len(d.spare) {
		// No more than what is left can hold, so that a small tree costs a small block.
		d.spare = make([]Item, max(n, min(256, d.Left()/(minNode+33))))
	}
	items := d.spare[:n:n]
	d.spare = d.spare[n:]
	return items
}
