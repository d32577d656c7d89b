package lru

import "testing"

func TestCache(t *testing.T) {
	c := New[int, string](10)
	c.Put(1, "a", 4)
	c.Put(2, "b", 4)
	c.Put(1, "other", 4)
	if v, ok := c.Get(1); !ok || v != "a" {
		t.Fatalf("1 is %q, %v", v, ok)
	}
	c.Put(3, "c", 4) // 2 was used longest ago
	if _, ok := c.Get(2); ok {
		t.Fatal("2 stayed beyond the limit")
	}
	c.Put(4, "large", 100)
	if _, ok := c.Get(4); !ok {
		t.Fatal("the newest does not stay")
	}
	if _, ok := c.Get(3); ok {
		t.Fatal("3 stayed beside what is too large already")
	}
	c.Remove(4)
	c.Remove(4)
	c.Put(5, "e", 10)
	if _, ok := c.Get(5); !ok || c.cost != 10 {
		t.Fatalf("after Remove: %v, cost %d", ok, c.cost)
	}
}
