package lookup

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// ratio is how many times larger a file is than all younger ones together: with it, a hundred million entries lie in seven
// files at most, and each is rewritten about ten times until there are as many.
const ratio = 4

// Flush writes what is in memory to the folder, and merges files when it is time. When that fails (Warn hears why) all stays as
// it was, and the next Flush tries again.
func (x *Index) Flush() error {
	x.change.Lock()
	defer x.change.Unlock()
	x.mu.RLock()
	closed := len(x.segments) == 0
	x.mu.RUnlock()
	if closed {
		return fmt.Errorf("flush local index: %w", fs.ErrClosed)
	}
	x.flush()
	return nil
}

func (x *Index) flush() {
	if x.dir == "" {
		return
	}
	for {
		x.dropDead()
		x.mu.RLock()
		inputs, sources := choose(x.due())
		x.mu.RUnlock()
		if len(inputs) == 0 {
			return
		}
		var made *segment
		var err error
		if len(sources) > 0 {
			made, err = merge(x.dir, inputs, sources)
		}
		if broken := (*brokenError)(nil); errors.As(err, &broken) && contains(inputs, broken.segment) {
			x.warn(fmt.Errorf("%w: dropped, its content will be fetched again", err))
			x.drop(broken.segment)
			continue
		}
		if err != nil {
			x.warn(fmt.Errorf("write local index: %w", err))
			x.retryAt = x.pending() + x.flushAt
			return
		}
		x.retryAt = x.flushAt
		x.replace(inputs, made)
		return
	}
}

// due returns the segments that should become one file now; x.mu is held.
func (x *Index) due() []*segment {
	memory, files := x.segments[0], x.segments[1:]
	younger := memory.weight()
	for _, g := range files {
		younger += g.weight()
	}
	first := len(files)
	for i, g := range files {
		weight := g.weight()
		younger -= weight
		small := younger > 0 && younger+weight <= x.floor
		if wasteful := g.entries() > 2*weight; weight < ratio*younger || small || wasteful {
			first = i
			break
		}
	}
	if first == len(files) && len(memory.sources) == 0 {
		return nil
	}
	return append([]*segment{memory}, files[first:]...)
}

// replace puts what was made of inputs (nil: nothing was left) in their place.
func (x *Index) replace(inputs []input, made *segment) {
	x.mu.Lock()
	kept := []*segment{newMemory()}
	for _, g := range x.segments[1:] {
		if !contains(inputs, g.name) {
			kept = append(kept, g)
		}
	}
	if made != nil {
		kept = append(kept, made)
	}
	x.segments = kept
	x.resolve()
	x.mu.Unlock()
	x.discard(inputs)
}

func (x *Index) discard(inputs []input) {
	x.tables.reset()
	for _, in := range inputs {
		if in.name != "" {
			x.close(in.segment)
			x.remove(in.name)
		}
	}
}

// dropDead drops the files in which nothing counts.
func (x *Index) dropDead() {
	x.mu.Lock()
	var dead []input
	x.segments = slices.DeleteFunc(x.segments, func(g *segment) bool {
		if g.name == "" || g.weight() > 0 {
			return false
		}
		dead = append(dead, input{segment: g})
		return true
	})
	x.mu.Unlock()
	if len(dead) > 0 {
		x.discard(dead)
	}
}

func contains(inputs []input, name string) bool {
	return slices.ContainsFunc(inputs, func(in input) bool { return in.name == name })
}

// drop drops a broken file, if nobody did before. What it held has to be added again.
func (x *Index) drop(name string) {
	x.mu.Lock()
	var dropped []input
	x.segments = slices.DeleteFunc(x.segments, func(g *segment) bool {
		if g.name != name || name == "" {
			return false
		}
		dropped = append(dropped, input{segment: g})
		return true
	})
	if len(dropped) > 0 {
		x.resolve()
	}
	x.mu.Unlock()
	x.discard(dropped)
}

func (x *Index) close(g *segment) {
	if err := g.close(); err != nil {
		x.warn(fmt.Errorf("close local index file: %w", err))
	}
}
