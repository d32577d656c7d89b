package walk

import (
	"container/list"
	"fmt"
	"unsafe"

	"nightjar/chunk"
	"nightjar/repo/tree"
)

// heldMost is how many bytes of decoded trees and lists a walk holds.
const heldMost = 32 << 20

// pages are the trees and lists on the way down. Those used last are held, the others are read again.
type pages struct {
	held int
	lru  list.List // of *page, of those that are held, the last used first
}

// A page is a tree or list.
type page struct {
	in     *pages
	use    Use
	length int64 // that its name's place says; 0: none does
	size   int   // bytes that were read; 0: none
	tree   []tree.Node
	list   []tree.Item
	cost   int
	at     *list.Element // nil: it is not held
}

func (p *pages) new(u Use, length int64) *page { return &page{in: p, use: u, length: length} }

func (p *pages) drop(x *page) {
	if x.at == nil {
		return
	}
	p.lru.Remove(x.at)
	p.held -= x.cost
	x.at, x.tree, x.list = nil, nil, nil
}

// hold makes room for what a page has read.
func (p *pages) hold(x *page, cost int) {
	x.cost = cost
	p.held += cost
	x.at = p.lru.PushFront(x)
	for p.held > heldMost && p.lru.Len() > 1 {
		p.drop(p.lru.Back().Value.(*page))
	}
}

// nodes returns a tree's entries, which are not to be kept beyond what is below them.
func (x *page) nodes(get func(chunk.ID) ([]byte, error)) ([]tree.Node, error) {
	if x.at != nil {
		x.in.lru.MoveToFront(x.at)
		return x.tree, nil
	}
	b, err := get(x.use.ID)
	if err != nil {
		return nil, err
	}
	x.size = len(b)
	if x.length > 0 && int64(len(b)) != x.length {
		return nil, fmt.Errorf("tree %v: %d bytes, not %d", x.use.ID, len(b), x.length)
	}
	nodes, err := tree.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("tree %v: %w", x.use.ID, err)
	}
	x.tree = nodes
	x.in.hold(x, 3*len(b)+len(nodes)*int(unsafe.Sizeof(tree.Node{}))) // the text, and at most twice as much of items
	return nodes, nil
}

// items returns a list's items.
func (x *page) items(get func(chunk.ID) ([]byte, error)) ([]tree.Item, error) {
	if x.at != nil {
		x.in.lru.MoveToFront(x.at)
		return x.list, nil
	}
	b, err := get(x.use.ID)
	if err != nil {
		return nil, err
	}
	x.size = len(b)
	items, err := tree.DecodeListOf(b, x.use.Level, x.length)
	if err != nil {
		return nil, fmt.Errorf("list %v: %w", x.use.ID, err)
	}
	x.list = items
	x.in.hold(x, len(items)*int(unsafe.Sizeof(tree.Item{})))
	return items, nil
}
