// Package lru keeps what was used last, up to a total cost.
package lru

import (
	"container/list"
	"sync"
)

// A Cache maps keys to values and forgets those that were used longest ago. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	mu        sync.Mutex
	max, cost int
	order     *list.List // of *entry, the newest in front
	byKey     map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

// New returns a Cache whose values cost max together; one of them may always stay.
func New[K comparable, V any](max int) *Cache[K, V] {
	return &Cache[K, V]{max: max, order: list.New(), byKey: map[K]*list.Element{}}
}

// Get returns what was put under a key, if it is still there.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// Put keeps a value, unless its key has one.
func (c *Cache[K, V]) Put(key K, value V, cost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	c.byKey[key] = c.order.PushFront(&entry[K, V]{key, value, cost})
	for c.cost += cost; c.cost > c.max && c.order.Len() > 1; {
		c.remove(c.order.Back())
	}
}

// Remove forgets what is under a key.
func (c *Cache[K, V]) Remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.remove(e)
	}
}

func (c *Cache[K, V]) remove(e *list.Element) {
	x := c.order.Remove(e).(*entry[K, V])
	c.cost -= x.cost
	delete(c.byKey, x.key)
}
