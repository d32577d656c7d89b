package scan

import (
	"cmp"
	"slices"

	"nightjar/repo/tree"
)

// maxInodes is how many entries of an archive are known by their inodes; of more, the largest.
const maxInodes = 1 << 20

// An inodeTable says where in an archive an inode was. Numbers alone say little, since file systems use them again, and each has its own.
type inodeTable struct {
	entries []inodeEntry // in order
	trees   []tree.Item
	floor   int64 // what is smaller is not in it
}

type inodeEntry struct {
	inode uint64
	size  int64
	tree  int // number of the tree that the entry is in
}

// moved returns the entry that was n under another path. It is asked for what is older than the predecessor, and new at its path: so most runs never
// ask, and those that do read the predecessor's trees once more.
func (s *scanner) moved(n *tree.Node) *tree.Node {
	if s.inodes == nil {
		s.inodes = new(inodeTable)
		s.inodes.read(s, s.o.Previous.Root)
		slices.SortFunc(s.inodes.entries, func(a, b inodeEntry) int { return cmp.Compare(a.inode, b.inode) })
	}
	return s.inodes.find(s, n)
}

// read notes the entries below a directory. Of what cannot be read nothing is known: the walk reports it.
func (x *inodeTable) read(s *scanner, dir *tree.Node) {
	_ = tree.Walk(dir.Contents, s.fetch, func(item tree.Item) error {
		nodes, err := s.nodes(item)
		if err != nil {
			return err
		}
		number := len(x.trees)
		x.trees = append(x.trees, item)
		for i := range nodes {
			n := &nodes[i]
			if n.IsDir() {
				x.read(s, n)
			} else if !n.IsRegular() || n.Size < originsFrom {
				continue
			}
			x.add(inodeEntry{n.Inode, n.Contents.Size(), number})
		}
		return s.ctx.Err()
	})
}

func (x *inodeTable) add(e inodeEntry) {
	if e.size < x.floor {
		return
	}
	if len(x.entries) == maxInodes {
		slices.SortFunc(x.entries, func(a, b inodeEntry) int { return cmp.Compare(b.size, a.size) })
		x.entries = x.entries[:maxInodes/2]
		x.floor = x.entries[maxInodes/2-1].size
	}
	x.entries = append(x.entries, e)
}

// find returns an entry of n's inode and type, of n's name too if there is one; nil if there is none.
func (x *inodeTable) find(s *scanner, n *tree.Node) (found *tree.Node) {
	i, _ := slices.BinarySearchFunc(x.entries, n.Inode, func(e inodeEntry, inode uint64) int { return cmp.Compare(e.inode, inode) })
	for ; i < len(x.entries) && x.entries[i].inode == n.Inode; i++ {
		nodes, err := s.nodes(x.trees[x.entries[i].tree])
		if err != nil {
			continue
		}
		for k := range nodes {
			old := &nodes[k]
			if old.Inode == n.Inode && old.Type() == n.Type() && (found == nil || old.Name == n.Name) {
				found = old
			}
		}
	}
	return found
}

// nodes returns a tree's entries.
func (s *scanner) nodes(item tree.Item) ([]tree.Node, error) {
	encoded, err := s.fetch(item.ID)
	if err != nil {
		return nil, err
	}
	return tree.Decode(encoded)
}
