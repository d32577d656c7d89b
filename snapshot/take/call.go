package take

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/errgroup"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

// together is how many calls are made at the same time, where one does not take all.
const together = 8

// idle is for how long a connection is taken to stay open that nothing is sent over.
const idle = 10 * time.Second

// rateExceeded is EC2's code for a volume that was taken a moment ago.
const rateExceeded = "SnapshotCreationPerVolumeRateExceeded"

// A callError is that of a call that makes snapshots.
type callError struct {
	err  error
	lost bool // whether it made some is not known
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// again reports whether another attempt may succeed.
func (e *callError) again() bool {
	_, throttled := retry.DefaultThrottleErrorCodes[cloud.Code(e.err)]
	return throttled || e.lost || cloud.Code(e.err) == rateExceeded
}

func newCallError(err error) *callError {
	e := &callError{err: err}
	var answer *http.ResponseError
	switch code := cloud.Code(err); {
	case code == "":
		e.lost = true
	case errors.As(err, &answer) && answer.HTTPStatusCode() >= 500:
		e.lost = !e.again()
	}
	return e
}

// warm makes every call with all its parameters, but for the tags that only the database knows, so that EC2 says whether it would be allowed: by
// then credentials are there, and a connection.
func (t *taker) warm(ctx context.Context) error {
	defer func() { t.warmed = t.o.Now() }()
	for _, c := range t.open {
		_, err := t.create(ctx, c, true)
		switch cloud.Code(err) {
		case "DryRunOperation":
		default:
			return unknown(fmt.Errorf("try to take a set: %w", err))
		}
	}
	return nil
}

// create makes one call, in one attempt but for a dry run.
func (t *taker) create(ctx context.Context, c call, dry bool) ([]snapshot.Snapshot, error) {
	label := t.label
	label.Consistency = t.least()
	tags, err := snapshot.Encode(label)
	if err != nil {
		return nil, err
	}
	options := []func(*ec2.Options){cloud.Once}
	if dry {
		options = nil
	}
	if c.instance == "" {
		return t.createOne(ctx, c.volumes[0], tags, dry, options)
	}
	out, err := t.c.EC2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(c.instance), ExcludeBootVolume: aws.Bool(c.noBoot), ExcludeDataVolumeIds: c.exclude},
		Description:           aws.String(t.label.Description()), DryRun: aws.Bool(dry),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: sets.Tags(tags)}},
	}, options...)
	if err != nil {
		return nil, err
	}
	made := make([]snapshot.Snapshot, len(out.Snapshots))
	for i, x := range out.Snapshots {
		made[i] = sets.Described(t.c.Region, types.Snapshot{
			SnapshotId: x.SnapshotId, VolumeId: x.VolumeId, State: x.State, Progress: x.Progress, StartTime: x.StartTime,
			VolumeSize: x.VolumeSize, Encrypted: x.Encrypted, Description: x.Description, Tags: sets.Tags(tags),
		})
	}
	return made, nil
}

func (t *taker) createOne(ctx context.Context, volume string, tags map[string]string, dry bool, options []func(*ec2.Options)) ([]snapshot.Snapshot, error) {
	out, err := t.c.EC2.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{
		VolumeId: aws.String(volume), Description: aws.String(t.label.Description()), DryRun: aws.Bool(dry),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: sets.Tags(tags)}},
	}, options...)
	if err != nil {
		return nil, err
	}
	return []snapshot.Snapshot{sets.Described(t.c.Region, types.Snapshot{
		SnapshotId: out.SnapshotId, VolumeId: out.VolumeId, State: out.State, Progress: out.Progress, StartTime: out.StartTime,
		VolumeSize: out.VolumeSize, Encrypted: out.Encrypted, Description: out.Description, Tags: sets.Tags(tags),
	})}, nil
}

// calls makes those that are open, each once. If an answer is lost while there is time, one look shows whether the snapshots are there: then they
// were made while all stood still.
func (t *taker) calls(ctx context.Context) error {
	var mu sync.Mutex
	var open []call
	var failed *callError
	var g errgroup.Group
	g.SetLimit(together)
	for _, c := range t.open {
		g.Go(func() error {
			made, err := t.create(ctx, c, false)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				t.made = append(t.made, made...)
				return nil
			}
			open = append(open, c)
			if e := newCallError(fmt.Errorf("take the snapshots: %w", err)); failed == nil || e.lost || !e.again() {
				failed = e
			}
			return nil
		})
	}
	_ = g.Wait() // none returns one
	t.open = open
	if failed == nil {
		return nil
	}
	if failed.lost && ctx.Err() == nil {
		if found, err := t.find(ctx); err == nil && found {
			return nil
		}
	}
	return failed
}

// find looks once for what the open calls would have made, and reports whether all is there.
func (t *taker) find(ctx context.Context) (bool, error) {
	s, err := sets.Find(ctx, t.c, t.label.ID)
	if errors.Is(err, sets.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.open = slices.DeleteFunc(t.open, func(c call) bool {
		var of []snapshot.Snapshot
		for _, x := range s.Snapshots {
			if slices.Contains(c.volumes, x.Volume) {
				of = append(of, x)
			}
		}
		if len(of) < len(c.volumes) {
			return false
		}
		t.made = append(t.made, of...)
		return true
	})
	return len(t.open) == 0, nil
}

// look finds with patience: EC2 may show new snapshots only after a while.
func (t *taker) look(ctx context.Context) (bool, error) {
	end := t.o.Now().Add(t.o.Patience)
	for {
		found, err := t.find(ctx)
		if err != nil {
			return false, fmt.Errorf("look for set %s, whose answer was lost: %w", t.label.ID, err)
		}
		if found || !t.o.Now().Before(end) {
			return found, nil
		}
		if err := sleep(ctx, t.o.Pause); err != nil {
			return false, fmt.Errorf("look for set %s, whose answer was lost: %w", t.label.ID, err)
		}
	}
}

// finish says in the tags what was reached, and gives each snapshot its own.
func (t *taker) finish(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // few calls, which are the last
	final := t.label
	final.Consistency, final.Why = t.confirmed(), t.why
	if !t.locked || t.apart {
		final.Position = snapshot.Position{}
	}
	t.result.Position = final.Position
	grouped, _ := sets.Group(t.made)
	if len(grouped) != 1 {
		return fmt.Errorf("take set %s: EC2's answers are of %d sets", t.label.ID, len(grouped))
	}
	t.result.Set = grouped[0]
	if err := t.relabel(ctx, final); err != nil {
		return err
	}
	s, dropped, err := sets.Finish(ctx, t.c, t.result.Set)
	t.result.Set, t.result.Dropped = s, dropped
	if err != nil {
		t.result.Problems = append(t.result.Problems, fmt.Errorf("%w (any later run finishes that)", err))
	}
	switch {
	case len(s.Missing) > 0:
		return fmt.Errorf("take set %s: no snapshot of %q was made", s.ID, s.Missing)
	case len(s.Extra) > 0:
		return fmt.Errorf("take set %s: there are snapshots that it should not have: %q", s.ID, s.Extra[0].ID)
	}
	return nil
}

// confirmed is what is certain now.
func (t *taker) confirmed() snapshot.Consistency {
	if t.reached != "" {
		return t.reached
	}
	return t.most()
}

// relabel has all snapshots say what final says.
func (t *taker) relabel(ctx context.Context, final snapshot.Label) error {
	tags, err := snapshot.Encode(final)
	if err != nil {
		return err
	}
	changed := map[string]string{}
	ids := make([]string, len(t.made))
	for i, x := range t.made {
		ids[i] = x.ID
		for key, value := range tags {
			if x.Tags[key] != value {
				changed[key] = value
			}
		}
		for key := range x.Tags {
			if _, ok := tags[key]; !ok && snapshot.OfSet(key) {
				changed[key] = ""
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := sets.SetTags(ctx, t.c, changed, ids...); err != nil {
		t.result.Problems = append(t.result.Problems, fmt.Errorf("say in the tags of set %s how consistent it is: %w", final.ID, err))
		return nil
	}
	for i := range t.made {
		for key, value := range changed {
			t.made[i].Tags[key] = value
		}
	}
	grouped, _ := sets.Group(t.made)
	t.result.Set = grouped[0]
	return nil
}
