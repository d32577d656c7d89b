package repo

import (
	"container/list"
	"sync"
)

// An lru keeps what was used last, up to a total cost.
type lru[K comparable, V any] struct {
	mu        sync.Mutex
	max, cost int
	order     *list.List // of *lruEntry, the newest in front
	byKey     map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, order: list.New(), byKey: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

func (l *lru[K, V]) put(key K, value V, cost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.byKey[key]; ok {
		return
	}
	l.byKey[key] = l.order.PushFront(&lruEntry[K, V]{key, value, cost})
	for l.cost += cost; l.cost > l.max && l.order.Len() > 1; {
		e := l.order.Remove(l.order.Back()).(*lruEntry[K, V])
		l.cost -= e.cost
		delete(l.byKey, e.key)
	}
}
