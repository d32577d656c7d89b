package tree

import (
	"errors"
	"fmt"
	"math"

	"nightjar/chunk"
)

// Where lists are cut, in items: never before listMin, always at listMax, and between them after an id that ends in a zero byte.
const (
	listMin = 64
	listMax = 1024
)

// A Lister makes Contents of a stream of items in bounded memory.
type Lister struct {
	emit   func(list []byte) (chunk.ID, error)
	levels [MaxLevel + 1]level
	size   int64
	err    error
}

// A level holds the items of it that are in no list yet. Until there are too many to lie inline none are.
type level struct {
	items  []Item
	listed bool
}

// NewLister returns a Lister that hands each list to emit, which stores it and returns its id. The list is valid only during
// the call.
func NewLister(emit func(list []byte) (chunk.ID, error)) *Lister { return &Lister{emit: emit} }

// Add adds the next item, which is a chunk, a tree or a hole. After an error the Lister refuses all until Reset.
func (l *Lister) Add(item Item) error {
	if l.err == nil {
		l.err = l.addFirst(item)
	}
	return l.err
}

func (l *Lister) addFirst(item Item) error {
	if err := item.check(0); err != nil {
		return fmt.Errorf("add item: %w", err)
	}
	if item.Length > math.MaxInt64-l.size {
		return errors.New("add item: lengths over 63 bits")
	}
	l.size += item.Length
	return l.add(0, item)
}

func (l *Lister) add(n int, item Item) error {
	v := &l.levels[n]
	if last := len(v.items) - 1; item.Hole && last >= 0 && v.items[last].Hole {
		v.items[last].Length += item.Length // they are one
		return nil
	}
	if v.listed {
		return l.list(n, item)
	}
	if len(v.items) < InlineItems {
		v.items = append(v.items, item)
		return nil
	}
	v.listed = true
	held := v.items
	v.items = held[:0] // filled again no faster than held is read
	for _, it := range held {
		if err := l.list(n, it); err != nil {
			return err
		}
	}
	return l.list(n, item)
}

// list adds an item to the open list of its level, and ends the list where it is to be cut.
func (l *Lister) list(n int, item Item) error {
	v := &l.levels[n]
	v.items = append(v.items, item)
	if len(v.items) == listMax || len(v.items) >= listMin && !item.Hole && item.ID[len(item.ID)-1] == 0 {
		return l.cut(n)
	}
	return nil
}

// cut ends the open list of level n.
func (l *Lister) cut(n int) error {
	v := &l.levels[n]
	if n == MaxLevel {
		return fmt.Errorf("list at level %d: too many items", n)
	}
	id, err := l.emit(EncodeList(v.items))
	if err != nil {
		return fmt.Errorf("store list: %w", err)
	}
	size := Contents{Items: v.items}.Size()
	v.items = v.items[:0]
	return l.add(n+1, Item{ID: id, Length: size})
}

// Finish returns the contents, of which only lists have been stored; the Lister is then ready for the next.
func (l *Lister) Finish() (Contents, error) {
	if l.err != nil {
		return Contents{}, l.err
	}
	n := 0
	for ; l.levels[n].listed; n++ {
		if len(l.levels[n].items) == 0 {
			continue
		}
		if l.err = l.cut(n); l.err != nil {
			return Contents{}, l.err
		}
	}
	c := Contents{Level: n, Items: append([]Item(nil), l.levels[n].items...)}
	l.Reset()
	return c, nil
}

// Reset gives up the items so far, and an error with them.
func (l *Lister) Reset() {
	for i := range l.levels {
		l.levels[i].items, l.levels[i].listed = l.levels[i].items[:0], false
	}
	l.size, l.err = 0, nil
}
