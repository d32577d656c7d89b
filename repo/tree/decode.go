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
	d := decoder{cursor: cursor{text: string(tree)}}
	nodes := d.tree()
	if d.err != nil {
		return nil, fmt.Errorf("decode tree: %w", d.err)
	}
	return nodes, nil
}

type decoder struct {
	cursor
	owners []Owner
	used   int    // owners that an entry has referred to
	spare  []Item // memory for items, allocated in blocks
}

func (d *decoder) tree() []Node {
	d.version()
	d.readOwners()
	n := d.count(math.MaxInt, minNode)
	if d.err == nil && n == 0 {
		d.fail(errors.New("no entries")) // an empty directory has no tree, so that it has one encoding
	}
	if d.err != nil {
		return nil
	}
	nodes := make([]Node, n)
	last := ""
	for i := range nodes {
		node := &nodes[i]
		d.node(node)
		if d.err == nil && node.Name <= last {
			d.fail(fmt.Errorf("name does not follow %q", last))
		}
		if d.err != nil {
			d.err = fmt.Errorf("entry %d %q: %w", i, node.Name, d.err)
			return nil
		}
		last = node.Name
	}
	if d.used < len(d.owners) {
		d.fail(errors.New("owner without an entry"))
	}
	d.end()
	return nodes
}

func (d *decoder) readOwners() {
	n := d.count(maxOwners, minOwner)
	d.owners = make([]Owner, n)
	seen := make(map[Owner]struct{}, n)
	for i := range d.owners {
		d.owners[i] = d.owner()
		seen[d.owners[i]] = struct{}{}
		if d.err == nil && len(seen) <= i {
			d.fail(errors.New("owner listed twice"))
		}
		if d.err != nil {
			return
		}
	}
}

// refer reads an index into owners. Owners lie in the order in which entries first refer to them.
func (d *decoder) refer() Owner {
	i := int(d.uvarint(maxOwners))
	if d.err == nil && (i > d.used || i >= len(d.owners)) {
		d.fail(fmt.Errorf("owner %d out of order", i))
	}
	if d.err != nil {
		return Owner{}
	}
	d.used = max(d.used, i+1)
	return d.owners[i]
}

func (d *decoder) node(n *Node) {
	n.Name = d.str(MaxName)
	n.Mode = uint32(d.uvarint(math.MaxUint16))
	n.Flags = d.uvarint(math.MaxUint64)
	n.Owner = d.refer()
	n.Mtime = d.time()
	n.Ctime = d.time()
	n.Inode = d.uvarint(math.MaxUint64)
	n.Links = d.uvarint(math.MaxUint64)
	if n.IsHardLinked() {
		n.Device = d.uvarint(math.MaxUint64)
	}
	n.Size = d.uvarint(math.MaxInt64)
	if !n.IsRegular() && n.Size != 0 {
		d.fail(errors.New("size of what is no regular file"))
	}
	d.xattrs(n)
	switch n.Type() {
	case Regular, Directory:
		n.Contents = d.contents()
	case Symlink:
		n.Target = d.str(MaxTarget)
	case BlockDevice, CharDevice:
		n.Major = uint32(d.uvarint(math.MaxUint32))
		n.Minor = uint32(d.uvarint(math.MaxUint32))
	}
	if d.err == nil {
		if err := n.check(); err != nil {
			d.fail(err)
		}
	}
}

func (d *decoder) xattrs(n *Node) {
	switch form := d.uvarint(xattrsContents); form {
	case xattrsInline:
		blob := d.str(InlineXattrs)
		if d.err != nil {
			return
		}
		xattrs, err := decodeXattrs(blob)
		if err != nil {
			d.fail(err)
		}
		n.Xattrs = xattrs
	case xattrsContents:
		c := d.contents()
		n.XattrContents = &c
	}
}

func (d *decoder) contents() Contents {
	return Contents{Level: int(d.uvarint(MaxLevel)), Items: d.items(d.alloc)}
}

// alloc returns memory for n items, which most entries have few of.
func (d *decoder) alloc(n int) []Item {
	if n > len(d.spare) {
		// No more than what is left can hold, so that a small tree costs a small block.
		d.spare = make([]Item, max(n, min(256, d.remaining()/(minNode+33))))
	}
	items := d.spare[:n:n]
	d.spare = d.spare[n:]
	return items
}
