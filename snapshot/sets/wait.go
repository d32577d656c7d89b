package sets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// A Failure says that snapshots of a set failed, and what EC2 says of each.
type Failure struct {
	Set       string
	Snapshots []snapshot.Snapshot
}

func (e *Failure) Error() string {
	var each []string
	for _, x := range e.Snapshots {
		each = append(each, fmt.Sprintf("%s of %s (%.200q)", x.ID, x.Volume, x.Message))
	}
	return fmt.Sprintf("set %s is not whole: failed: %s", e.Set, strings.Join(each, ", "))
}

// unseenLooks is how often Wait looks again for what it does not see.
const unseenLooks = 4

// Wait asks every so often, 15 s if that is not above 0, and more often at first, until no snapshot of a set is pending, and tells of each answer. The error is a
// *Failure if one failed. A snapshot that went away meanwhile is missing in the set that it returns.
func Wait(ctx context.Context, c *cloud.Cloud, id string, every time.Duration, told func(Set)) (Set, error) {
	if every <= 0 {
		every = 15 * time.Second
	}
	for looks := 0; ; looks++ {
		s, err := Find(ctx, c, id)
		switch unseen := errors.Is(err, ErrNone) || err == nil && len(s.Missing) > 0; {
		case unseen && looks < unseenLooks: // EC2 may not show all of a new set yet
		case err != nil:
			return s, err
		case !s.Pending():
			if told != nil {
				told(s)
			}
			return s, s.failure()
		case told != nil:
			told(s)
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("wait for set %s: %w", id, context.Cause(ctx))
		case <-time.After(min(every, time.Second<<min(looks, 10))):
		}
	}
}

func (s *Set) failure() error {
	if len(s.Failed) == 0 {
		return nil
	}
	f := &Failure{Set: s.ID}
	for _, x := range s.Snapshots {
		if x.State == snapshot.Failed {
			f.Snapshots = append(f.Snapshots, x)
		}
	}
	return f
}
