package tree

import (
	"errors"
	"fmt"
	"iter"

	"nightjar/chunk"
)

// Walk calls f for each item of level 0 in order, fetching lists through get, which answers for their ids. It holds one list
// of each level in memory. Errors of get and f come back wrapped or as they are, and end the walk.
func Walk(c Contents, get func(id chunk.ID) ([]byte, error), f func(Item) error) error {
	return WalkNew(c, get, func(List, int64) bool { return true }, f)
}

// A List is one that contents name: the same one may stand for other things at another level, or in a directory.
type List struct {
	ID    chunk.ID
	Level int // of its items
}

// WalkNew is Walk, and passes over each list, of so many bytes of content, for which enter says no. A few lists can name each other, and one chunk, more often than anybody can count: so whoever
// writes nothing for each item enters a list once.
func WalkNew(c Contents, get func(id chunk.ID) ([]byte, error), enter func(l List, length int64) bool, f func(Item) error) error {
	if _, err := c.check(); err != nil {
		return fmt.Errorf("walk contents: %w", err)
	}
	return walk(c.Level, c.Items, get, enter, f)
}

// Once returns what has WalkNew enter each list once.
func Once() func(l List, length int64) bool {
	entered := map[List]struct{}{}
	return func(l List, _ int64) bool {
		_, again := entered[l]
		entered[l] = struct{}{}
		return !again
	}
}

// walk goes through items that have been checked.
func walk(level int, items []Item, get func(id chunk.ID) ([]byte, error), enter func(l List, length int64) bool, f func(Item) error) error {
	for _, item := range items {
		if level == 0 {
			if err := f(item); err != nil {
				return err
			}
			continue
		}
		if !enter(List{item.ID, level - 1}, item.Length) {
			continue
		}
		list, err := getList(level-1, item, get)
		if err != nil {
			return fmt.Errorf("list %v: %w", item.ID, err)
		}
		if err := walk(level-1, list, get, enter, f); err != nil {
			return err
		}
	}
	return nil
}

// getList fetches the list that item stands for; its items are of the level given.
func getList(level int, item Item, get func(id chunk.ID) ([]byte, error)) ([]Item, error) {
	b, err := get(item.ID)
	if err != nil {
		return nil, err
	}
	return DecodeListOf(b, level, item.Length)
}

// DecodeListOf is DecodeList for a list whose items are of a level, and whose lengths make a sum.
func DecodeListOf(b []byte, level int, length int64) ([]Item, error) {
	list, err := DecodeList(b)
	if err != nil {
		return nil, err
	}
	size, err := checkItems(level, list)
	if err != nil {
		return nil, err
	}
	if size != length {
		return nil, fmt.Errorf("items of %d bytes, not %d", size, length)
	}
	return list, nil
}

// Nodes iterates over a directory's entries in order of names, fetching trees and lists through get as it goes. An error is
// the last that it yields. The nodes are the caller's to keep.
func Nodes(c Contents, get func(id chunk.ID) ([]byte, error)) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		for n, err := range NodesLeft(c, get) {
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

// NodesLeft is Nodes, and goes on past trees and lists that cannot be had: it yields an error for each.
func NodesLeft(c Contents, get func(id chunk.ID) ([]byte, error)) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		if _, err := c.check(); err != nil {
			yield(nil, fmt.Errorf("walk contents: %w", err))
			return
		}
		last := ""
		var visit func(level int, items []Item) bool
		visit = func(level int, items []Item) bool {
			for _, item := range items {
				if level > 0 {
					list, err := getList(level-1, item, get)
					if err != nil && !yield(nil, fmt.Errorf("list %v: %w", item.ID, err)) || err == nil && !visit(level-1, list) {
						return false
					}
					continue
				}
				nodes, err := getTree(item, last, get)
				if err != nil {
					if !yield(nil, fmt.Errorf("tree %v: %w", item.ID, err)) {
						return false
					}
					continue
				}
				for i := range nodes {
					if !yield(&nodes[i], nil) {
						return false
					}
				}
				last = nodes[len(nodes)-1].Name
			}
			return true
		}
		visit(c.Level, c.Items)
	}
}

// getTree fetches the tree that item stands for, whose names must follow last.
func getTree(item Item, last string, get func(id chunk.ID) ([]byte, error)) ([]Node, error) {
	if item.Hole {
		return nil, errors.New("hole in a directory")
	}
	b, err := get(item.ID)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != item.Length {
		return nil, fmt.Errorf("%d bytes, not %d", len(b), item.Length)
	}
	nodes, err := Decode(b)
	if err != nil {
		return nil, err
	}
	if nodes[0].Name <= last {
		return nil, fmt.Errorf("name %q does not follow %q", nodes[0].Name, last)
	}
	return nodes, nil
}
