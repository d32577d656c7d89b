package tree

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/bits"

	"nightjar/chunk"
)

// Where trees are cut, in bytes: never before cutMin, never beyond cutMax, and between them about once in cutMean. Chances
// follow the bytes, not the number of entries, so that trees of small entries are as long as those of large ones.
const (
	cutMin  = 16 << 10
	cutMean = 48 << 10
	cutMax  = 96 << 10
)

// An Encoder turns one directory after another into trees.
type Encoder struct {
	emit  func(tree []byte) (chunk.ID, error)
	mac   hash.Hash
	name  []byte // what mac hashes
	sum   [sha256.Size]byte
	page  page
	out   []byte
	last  string // the name added last
	items []Item
	err   error
}

// NewEncoder returns an Encoder that cuts by nameKey (chunk.Names) and hands each tree to emit, which stores it and returns
// its id. The tree is valid only during the call.
func NewEncoder(nameKey []byte, emit func(tree []byte) (chunk.ID, error)) *Encoder {
	return &Encoder{emit: emit, mac: hmac.New(sha256.New, nameKey)}
}

// Add adds the next entry; names must ascend strictly. It keeps only strings of n. After an error the Encoder refuses all
// until Reset.
func (e *Encoder) Add(n *Node) error {
	if e.err == nil {
		if err := e.add(n); err != nil {
			e.err = fmt.Errorf("encode entry %q: %w", n.Name, err)
		}
	}
	return e.err
}

func (e *Encoder) add(n *Node) error {
	if n.Name <= e.last {
		return fmt.Errorf("name does not follow %q", e.last)
	}
	if len(n.Contents.Items) > InlineItems || n.XattrContents != nil && len(n.XattrContents.Items) > InlineItems {
		return fmt.Errorf("contents of more than %d items", InlineItems)
	}
	before := e.page.mark()
	if err := e.page.add(n); err != nil {
		return err
	}
	if before.entries > 0 && e.page.mark().size() > cutMax {
		if err := e.flush(before); err != nil {
			return err
		}
		before = e.page.mark()
		if err := e.page.add(n); err != nil {
			return err
		}
	}
	e.last = n.Name
	now := e.page.mark()
	if now.size() >= cutMin && e.cuts(n.Name, now.body-before.body) {
		return e.flush(now)
	}
	return nil
}

// cuts reports whether an entry of that many bytes is the last of its tree.
func (e *Encoder) cuts(name string, size int) bool {
	e.mac.Reset()
	e.name = append(e.name[:0], name...)
	e.mac.Write(e.name)
	h := binary.BigEndian.Uint64(e.mac.Sum(e.sum[:0]))
	// h / 2^64 < size / cutMean, without rounding.
	hi, _ := bits.Mul64(h, cutMean)
	return hi < uint64(size)
}

// flush emits the page up to the mark, and empties it.
func (e *Encoder) flush(m mark) error {
	e.out = e.page.appendTree(e.out[:0], m)
	e.page.reset()
	id, err := e.emit(e.out)
	if err != nil {
		return fmt.Errorf("store tree: %w", err)
	}
	e.items = append(e.items, Item{ID: id, Length: int64(len(e.out))})
	return nil
}

// Finish ends the directory and returns its trees in order, none if it is empty; a Lister makes Contents of them. The Encoder
// is then ready for the next directory.
func (e *Encoder) Finish() ([]Item, error) {
	if m := e.page.mark(); e.err == nil && m.entries > 0 {
		e.err = e.flush(m)
	}
	if e.err != nil {
		return nil, e.err
	}
	items := e.items
	e.Reset()
	return items, nil
}

// Reset gives up the directory, and an error with it.
func (e *Encoder) Reset() {
	e.page.reset()
	e.last, e.items, e.err = "", nil, nil
}

// A page is a tree in the making.
type page struct {
	owners  map[Owner]int
	latest  Owner // the owner of the last entry, which the next one mostly shares
	index   int   // of latest
	table   []byte
	body    []byte
	entries int
	xattrs  []byte
}

// A mark is a place between two entries of a page: lengths of its parts.
type mark struct{ owners, table, entries, body int }

func (p *page) mark() mark { return mark{len(p.owners), len(p.table), p.entries, len(p.body)} }

// size returns the length of the tree that ends here.
func (m mark) size() int {
	return 1 + uvarintLen(m.owners) + m.table + uvarintLen(m.entries) + m.body
}

func uvarintLen(n int) int { return (bits.Len(uint(n)|1) + 6) / 7 }

func (p *page) add(n *Node) error {
	if err := n.check(); err != nil {
		return err
	}
	if len(n.Owner.User) > MaxOwner || len(n.Owner.Group) > MaxOwner {
		return fmt.Errorf("owner's name of more than %d bytes", MaxOwner)
	}
	var err error
	if p.xattrs, err = appendXattrs(p.xattrs[:0], n.Xattrs); err != nil {
		return err
	}
	if len(p.xattrs) > InlineXattrs {
		return fmt.Errorf("%d bytes of attributes inline, more than %d", len(p.xattrs), InlineXattrs)
	}
	if p.entries == 0 || p.latest != n.Owner {
		if err := p.refer(&n.Owner); err != nil {
			return err
		}
	}
	p.body = appendNode(p.body, n, uint64(p.index), p.xattrs)
	p.entries++
	return nil
}

// refer makes an owner the latest, and lists it if it is new.
func (p *page) refer(o *Owner) error {
	i, ok := p.owners[*o]
	if !ok {
		if i = len(p.owners); i == maxOwners {
			return errors.New("too many owners")
		}
		if p.owners == nil {
			p.owners = make(map[Owner]int)
		}
		p.owners[*o] = i
		p.table = appendOwner(p.table, o)
	}
	p.latest, p.index = *o, i
	return nil
}

// appendTree appends the tree that ends at m.
func (p *page) appendTree(b []byte, m mark) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(m.owners))
	b = append(b, p.table[:m.table]...)
	b = binary.AppendUvarint(b, uint64(m.entries))
	return append(b, p.body[:m.body]...)
}

func (p *page) reset() {
	clear(p.owners)
	p.table, p.body, p.entries = p.table[:0], p.body[:0], 0
}
