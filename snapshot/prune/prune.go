// Package prune deletes the sets of snapshots that a policy does not keep, in one region.
//
// The invariant: a set that anything holds keeps all of its snapshots. Sets are deleted one after the other, the oldest first, so that a kill in the
// middle leaves one set at most that is not all there; its label says what it lacks, so that it looks whole to nobody, and the next run finishes it.
//
// Snapshots without this tool's tags are never touched, nor are those whose tags cannot be read, or contradict those of their set.
package prune

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/sets"
)

// Options say what is kept.
type Options struct {
	Policy  plan.Policy
	Chosen  func(*snapshot.Set) bool // what is judged; nil: all
	Protect plan.Holds               // what else is needed, and by what
	Readers []*cloud.Cloud           // the regions that are copied to from here
	Zone    *time.Location           // that days begin in
	Now     func() time.Time
}

// A Plan is what is to become of a region's sets.
type Plan struct {
	Decisions []plan.Decision
	Doubtful  []sets.Set   // chosen ones that are left alone, since the tags of their snapshots contradict each other
	Strays    []sets.Stray // likewise, since tags cannot be read
}

// Look finds out what is to become of each set that is chosen. It changes nothing.
func Look(ctx context.Context, c *cloud.Cloud, o Options) (*Plan, error) {
	if err := o.Policy.Validate(); err != nil {
		return nil, err
	}
	read, strays, err := sets.Read(ctx, c, sets.Query{})
	if err != nil {
		return nil, err
	}
	p := &Plan{Strays: strays}
	all := make([]snapshot.Set, 0, len(read))
	doubtful := map[string]bool{}
	for i := range read {
		s := &read[i]
		if len(s.Differ) > 0 {
			doubtful[s.ID] = true
			if o.Chosen == nil || o.Chosen(&s.Set) {
				p.Doubtful = append(p.Doubtful, *s)
			}
		}
		all = append(all, withDoubles(s))
	}
	chosen := func(s *snapshot.Set) bool { return !doubtful[s.ID] && (o.Chosen == nil || o.Chosen(s)) }
	now := o.Now()
	p.Decisions = o.Policy.Retain(now, o.Zone, all, chosen, nil)
	ids := p.goes()
	if len(ids) == 0 { // so nobody needs to know what holds them
		return p, nil
	}
	holds, err := heldBy(ctx, c, ids, o)
	if err != nil {
		return nil, err
	}
	archived(all, holds)
	p.Decisions = o.Policy.Retain(now, o.Zone, all, chosen, holds)
	return p, nil
}

// withDoubles returns a set with all snapshots of its volumes.
func withDoubles(s *sets.Set) snapshot.Set {
	of := s.Set
	of.Snapshots = slices.Clone(s.Snapshots)
	for _, x := range s.Extra {
		if slices.ContainsFunc(s.Volumes, func(v snapshot.Volume) bool { return v.ID == x.Volume }) {
			of.Snapshots = append(of.Snapshots, x)
		}
	}
	return of
}

// goes returns the ids of the snapshots that are to go.
func (p *Plan) goes() (ids []string) {
	for i := range p.Decisions {
		if d := &p.Decisions[i]; !d.Keep {
			for _, x := range d.Snapshots {
				ids = append(ids, x.ID)
			}
		}
	}
	return ids
}

// A Result is what was done.
type Result struct {
	Sets      int      // that are gone
	Snapshots []string // that are gone
	Stuck     []Stuck
	Binned    []Binned
}

// Stuck is a snapshot that EC2 would not delete.
type Stuck struct {
	Set, Snapshot string
	Err           error
}

// Binned is a snapshot that a rule of the Recycle Bin keeps, and bills, until a time.
type Binned struct {
	Snapshot string
	Until    time.Time
}

// Delete deletes what p lets go. What EC2 refuses to delete is told in the result, with the rest of its set, and the others go on; the error is of what
// would fail for the others, too. The result says what was done even then.
func (p *Plan) Delete(ctx context.Context, c *cloud.Cloud) (Result, error) {
	var r Result
	var going []*plan.Decision
	for i := range p.Decisions {
		if d := &p.Decisions[i]; !d.Keep {
			going = append(going, d)
		}
	}
	slices.SortStableFunc(going, func(x, y *plan.Decision) int { return x.Time.Compare(y.Time) })
	for _, d := range going {
		if err := r.delete(ctx, c, d.Set); err != nil {
			return r, err
		}
	}
	if len(r.Snapshots) == 0 {
		return r, nil
	}
	var err error
	r.Binned, err = binned(ctx, c, r.Snapshots)
	return r, err
}

// delete deletes one set.
func (r *Result) delete(ctx context.Context, c *cloud.Cloud, s *snapshot.Set) error {
	for _, x := range s.Snapshots {
		_, err := c.EC2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(x.ID)})
		switch code := cloud.Code(err); {
		case err == nil, code == "InvalidSnapshot.NotFound": // another run was faster
			r.Snapshots = append(r.Snapshots, x.ID)
		case code == "InvalidSnapshot.InUse", code == "SnapshotLocked", code == "InvalidSnapshot.Locked", code == "IncorrectState":
			r.Stuck = append(r.Stuck, Stuck{s.ID, x.ID, err})
			return nil // what is left of the set is worth more together
		default:
			return fmt.Errorf("delete snapshot %s of set %s: %w", x.ID, s.ID, err)
		}
	}
	r.Sets++
	return nil
}
