package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/tree"
)

// check wants each archive that counts, and was not given up a grace period ago, to be whole, and each that its run believes to be made
// to be there.
func (w *world) check(why string) {
	w.tell(&w.count.Checks)
	if err := w.whole(w.observer); err != nil {
		w.fail(fmt.Errorf("after %s: %w", why, err))
	}
}

func (w *world) whole(r *repo.Repository) error {
	rd, err := r.NewReader(w.ctx)
	if err != nil {
		return err
	}
	archives, err := r.Archives(w.ctx, func(name string, err error) { w.fail(fmt.Errorf("%s: %w", name, err)) })
	if err == nil {
		err = retain.Mark(w.ctx, r, archives, func(name string, err error) { w.fail(fmt.Errorf("%s: %w", name, err)) })
	}
	if err != nil {
		return err
	}
	var problems []error
	checkers := map[string]*checker{} // of each circle of hosts one, since what one may read another may not
	there := map[string]bool{}
	for _, a := range archives {
		there[a.ID] = true
		if !a.Counts() {
			if w.made[a.ID] {
				problems = append(problems, fmt.Errorf("archive %.8s does not count", a.ID))
			}
			continue
		}
		// What a store's clocks do not agree on is no fault of prune's.
		if gone := a.Forgotten; !gone.IsZero() && time.Since(gone) > grace-2*blur {
			continue
		}
		circle := r.Circle(&a)
		c := checkers[circle.Key()]
		if c == nil {
			c = &checker{world: w, rd: rd.For(repo.Of(circle)), trees: map[chunk.ID][]tree.Node{}, content: map[chunk.ID][]byte{}}
			checkers[circle.Key()] = c
		}
		got, err := c.archive(&a)
		if err == nil {
			w.mu.Lock()
			want := w.saved[a.Root.ID]
			w.mu.Unlock()
			err = equalFiles(want, got)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("archive %.8s of %s, stored %s: %w", a.ID, a.Host, a.Stored.Format(time.DateTime), err))
		}
	}
	given, err := retain.Forgotten(w.ctx, r, func(string, error) {})
	if err != nil {
		return err
	}
	for id, g := range given {
		if time.Since(g.At) > grace-2*blur {
			there[id.String()] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.made {
		if !there[id] {
			problems = append(problems, fmt.Errorf("archive %.8s is gone", id))
		}
	}
	return errors.Join(problems...)
}

// A checker reads what archives hold, each chunk once.
type checker struct {
	*world
	rd      *repo.Reader
	trees   map[chunk.ID][]tree.Node
	content map[chunk.ID][]byte
}

func (c *checker) archive(a *repo.Archive) (files, error) {
	got := files{}
	return got, c.tree(a.Root.ID, "", got)
}

func (c *checker) tree(id chunk.ID, at string, got files) error {
	nodes, ok := c.trees[id]
	if !ok {
		b, err := c.rd.Metadata(c.ctx, id)
		if err == nil {
			nodes, err = tree.Decode(b)
		}
		if err != nil {
			return fmt.Errorf("tree %q: %w", at, err)
		}
		c.trees[id] = nodes
	}
	for i := range nodes {
		n := &nodes[i]
		path := strings.TrimPrefix(at+"/"+n.Name, "/")
		var ids []chunk.ID
		err := tree.Walk(n.Contents, func(id chunk.ID) ([]byte, error) { return c.rd.Metadata(c.ctx, id) }, func(item tree.Item) error {
			if n.IsDir() {
				return c.tree(item.ID, path, got)
			}
			ids = append(ids, item.ID)
			return nil
		})
		if err == nil {
			err = c.fetch(ids)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if n.IsDir() {
			continue
		}
		got[path] = nil
		for _, id := range ids {
			got[path] = append(got[path], c.content[id]...)
		}
	}
	return nil
}

func (c *checker) fetch(ids []chunk.ID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id chunk.ID) bool { return c.content[id] != nil })
	var problems []error
	err := c.rd.Fetch(c.ctx, ids, func(i int, data []byte, err error) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			problems = append(problems, err)
		} else {
			c.content[ids[i]] = slices.Clone(data)
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

// unexpected tells the errors that a backup or a prune must not end with, whatever befalls the host: they say that something is missing that must not be.
func unexpected(err error) bool {
	for _, known := range []error{errCrashed, errLost} {
		if errors.Is(err, known) {
			return false
		}
	}
	for _, known := range []string{
		"the run's last view of the repository is of", "the store dated it", "the store dates it", "a list of prune cannot be read", "another prune was at work",
	} {
		if strings.Contains(err.Error(), known) {
			return false
		}
	}
	return true
}
