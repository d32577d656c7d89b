package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// forgets notes which archives retention gave up: prune removes them.
func (c *checker) forgets(content []byte) error {
	var f record.Forget
	if err := record.Decode(content, &f); err != nil {
		return err
	}
	for _, a := range f.Archives {
		c.forgotten[a.Archive] = struct{}{}
	}
	return nil
}

// versions tells what somebody replaced or deleted in a store that keeps versions.
func (c *checker) versions(ctx context.Context) error {
	s, ok := c.r.Store().(store.Versioned)
	if !ok {
		return nil
	}
	older := s.Recovered()
	slices.SortFunc(older, func(a, b store.Info) int { return strings.Compare(a.Name, b.Name) })
	for _, older := range older {
		c.found(Finding{What: Replaced, Object: older.Name, Err: fmt.Errorf("the version of %s is whole", older.Time.Format(time.RFC3339))})
	}
	for _, prefix := range []string{"archive/", "keys/"} { // which nobody deletes, but prune what was forgotten
		err := s.Hidden(ctx, prefix, func(i store.Info, deleted time.Time) error {
			if id, err := sealed.ObjectID(i.Name); err == nil {
				if _, ok := c.forgotten[id]; ok {
					return nil
				}
			}
			c.found(Finding{What: Hidden, Object: i.Name, Err: fmt.Errorf("deleted on %s", deleted.Format(time.RFC3339))})
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for what was deleted: %w", err)
		}
	}
	return nil
}
