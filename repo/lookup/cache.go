package lookup

import "sync"

// cacheFrames bounds the frames that each generation of a cache holds: about 5 MB.
const cacheFrames = 64 << 10

type cacheKey struct {
	segment *segment
	pack    uint32
}

// cache keeps the tables of packs that were used lately, in two generations: when the young one is full, the old one goes. Its
// zero value is empty.
type cache struct {
	sync.Mutex
	young, old map[cacheKey]*packTable
	frames     int // in young
}

func (c *cache) get(g *segment, number uint32) (*packTable, error) {
	key := cacheKey{g, number}
	c.Lock()
	t, ok := c.young[key]
	if !ok {
		if t, ok = c.old[key]; ok {
			c.put(key, t)
		}
	}
	c.Unlock()
	if ok {
		return t, nil
	}
	t, err := g.load(number)
	if err != nil {
		return nil, err
	}
	c.Lock()
	defer c.Unlock()
	c.put(key, t)
	return t, nil
}

func (c *cache) put(key cacheKey, t *packTable) {
	weight := len(t.frames) + 16 // what a table costs by itself
	if c.young == nil || c.frames+weight > cacheFrames {
		c.young, c.old, c.frames = map[cacheKey]*packTable{}, c.young, 0
	}
	c.young[key] = t
	c.frames += weight
}

// reset forgets everything, closed segments above all.
func (c *cache) reset() {
	c.Lock()
	defer c.Unlock()
	c.young, c.old, c.frames = nil, nil, 0
}
