// Package mirror copies sets of snapshots to another region.
//
// A pass compares what is here with what is there, and copies what is missing: a set as a whole, after it is completed, the newest first. What was
// begun goes on by itself; the next pass finds it by its tags.
//
// EC2 builds a copy on the last completed one of the same volume under the same key. So one copy of a volume is made at a time, lest each be a full one.
//
// The invariant: a snapshot has one copy there at most. CopySnapshot has no client token: after an answer that was lost, and before another
// attempt, the copy's tags are looked for.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/sets"
)

// DefaultLimit is how many copies to a region EC2 makes at a time, unless the account asked for more.
const DefaultLimit = 20

// Options say what is copied, and how.
type Options struct {
	Policy  plan.Policy                            // that the copies are kept by: what it would not keep is not copied; zero: all are
	Chosen  func(*snapshot.Set) bool               // nil: all
	Key     string                                 // KMS key there: id, alias or ARN; empty: EBS's own for what is encrypted, none for what is not
	Minutes int                                    // within which EC2 has to complete each copy, which it bills: a multiple of 15 up to 2880; 0: when it can
	Limit   int                                    // of copies at a time; 0: DefaultLimit
	Look    bool                                   // only find out what there is to do
	Wait    bool                                   // until all that is missing is there
	Every   time.Duration                          // between looks while waiting; 0: 15 s
	Zone    *time.Location                         // that days begin in
	Now     func() time.Time                       //
	Told    func(e Event)                          // of what happens; nil: nobody
	After   func(d time.Duration) <-chan time.Time // nil: time.After
}

// What happens to a copy.
const (
	Started = "started"
	Adopted = "found after a lost answer"
	Done    = "completed"
	Failing = "failed"
)

// An Event is what has happened to the copy of a snapshot.
type Event struct {
	What   string
	Set    string
	Source string
	Copy   string
	Err    error
}

// A Result is what a pass has done, and left.
type Result struct {
	Copies    []plan.Copy // as they stood when it began
	Started   int
	Completed int
	Pending   int       // copies that are being made
	Left      int       // snapshots of which none is being made yet
	Later     int       // sets that are not completed here
	Full      bool      // EC2 took no more at a time
	Failed    []Failure // each snapshot once
	Dropped   []string  // keys of tags that copies had no room for
}

// A Failure is a snapshot that could not be copied.
type Failure struct {
	Set, Source string
	Err         error
}

// ErrCopy says that EC2 gave up a copy.
var ErrCopy = errors.New("the copy failed")

// errFull says that EC2 takes no more copies for now.
var errFull = errors.New("EC2 makes no more copies at a time")

// A job is a snapshot that is to be copied.
type job struct {
	set    *snapshot.Set
	source snapshot.Snapshot
	copy   string // empty: none was begun
	tries  int
	unseen int // looks that did not show the copy
}

type run struct {
	Options
	from, to *cloud.Cloud
	todo     []*job
	pending  []*job
	r        Result
	dropped  map[string]bool
}

// Run copies what is missing. What is wrong with single snapshots is told in the result; the error is of what stops all of them. The result says what was done even then.
func Run(ctx context.Context, from, to *cloud.Cloud, o Options) (Result, error) {
	if from.Region == to.Region {
		return Result{}, fmt.Errorf("copy sets from %s: that is where they are to go", from.Region)
	}
	if o.Limit < 1 {
		o.Limit = DefaultLimit
	}
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Chosen == nil {
		o.Chosen = func(*snapshot.Set) bool { return true }
	}
	x := &run{Options: o, from: from, to: to, dropped: map[string]bool{}}
	for first := true; ; first = false {
		copies, err := x.compare(ctx)
		if first {
			x.r.Copies = copies
		}
		if err == nil && !o.Look {
			err = x.work(ctx)
		}
		x.r.Pending, x.r.Left = len(x.pending), len(x.todo)
		if err != nil || !o.Wait || o.Look || x.r.Later == 0 || len(x.r.Failed) > 0 {
			return x.r, err
		}
		if err := x.sleep(ctx, o.Every); err != nil {
			return x.r, err
		}
	}
}

// compare finds what is missing there, and what is under way.
func (x *run) compare(ctx context.Context) ([]plan.Copy, error) {
	here, err := x.read(ctx, x.from, "")
	if err != nil {
		return nil, err
	}
	there, err := x.read(ctx, x.to, x.from.Region)
	if err != nil {
		return nil, err
	}
	x.todo, x.pending, x.r.Later = nil, nil, 0
	copies := x.Policy.Copies(x.Now(), x.Zone, here, there, x.Chosen)
	for i := range copies {
		c := &copies[i]
		if plan.Of(c.Set) == plan.Unfinished {
			x.r.Later++
		}
		for _, f := range c.Failed {
			if len(c.Missing) == 0 || x.Look {
				break
			}
			if err := x.remove(ctx, f.ID); err != nil {
				return copies, err
			}
		}
		for _, s := range c.Pending {
			x.pending = append(x.pending, &job{set: c.Set, source: snapshot.Snapshot{ID: s.CopyOf, Volume: s.Volume}, copy: s.ID})
		}
		for _, s := range c.Missing {
			x.todo = append(x.todo, &job{set: c.Set, source: s})
		}
	}
	return copies, nil
}

// read returns the sets of a region that were copied there from another; from none if that is empty. Doubtful ones are left out.
func (x *run) read(ctx context.Context, c *cloud.Cloud, from string) (all []snapshot.Set, err error) {
	read, _, err := sets.Read(ctx, c, sets.Query{})
	for i := range read {
		s := &read[i]
		if s.CopyFrom != from || from == "" && len(s.Differ) > 0 {
			continue
		}
		of := s.Set
		of.Snapshots = append(append([]snapshot.Snapshot(nil), s.Snapshots...), s.Extra...)
		all = append(all, of)
	}
	return all, err
}

// work starts copies, and waits for them if that is asked for.
func (x *run) work(ctx context.Context) error {
	for {
		if err := x.start(ctx); err != nil {
			return err
		}
		if !x.Wait || len(x.pending) == 0 && len(x.todo) == 0 {
			return nil
		}
		if err := x.sleep(ctx, x.Every); err != nil {
			return err
		}
		if err := x.look(ctx); err != nil {
			return err
		}
	}
}

// start begins copies of volumes of which none is under way, as many as there may be.
func (x *run) start(ctx context.Context) error {
	busy := map[string]bool{}
	for _, j := range x.pending {
		busy[j.source.Volume] = true
	}
	x.r.Full = false
	var left []*job
	for i, j := range x.todo {
		if len(x.pending) >= x.Limit || x.r.Full || busy[j.source.Volume] {
			left = append(left, j)
			busy[j.source.Volume] = true // the newest goes first
			continue
		}
		err := x.begin(ctx, j)
		switch {
		case errors.Is(err, errFull):
			x.r.Full = true
			left = append(left, j)
		case ctx.Err() != nil || err != nil && stops(err):
			x.todo = append(left, x.todo[i:]...)
			return err
		case err != nil:
			x.fail(j, err)
		default:
			busy[j.source.Volume] = true
			x.pending = append(x.pending, j)
			x.r.Started++
		}
	}
	x.todo = left
	return nil
}

// stops tells what would be refused of every snapshot.
func stops(err error) bool {
	switch cloud.Code(err) {
	case "UnauthorizedOperation", "AuthFailure", "RequestExpired", "ExpiredToken", "OptInRequired", "SnapshotLimitExceeded", "SignatureDoesNotMatch", "InvalidClientTokenId":
		return true
	}
	return cloud.Code(err) == ""
}

func (x *run) fail(j *job, err error) {
	x.r.Failed = append(x.r.Failed, Failure{j.set.ID, j.source.ID, err})
	x.tell(Event{Failing, j.set.ID, j.source.ID, j.copy, err})
}

func (x *run) tell(e Event) {
	if x.Told != nil {
		x.Told(e)
	}
}

func (x *run) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for copies to %s: %w", x.to.Region, ctx.Err())
	case <-x.After(d):
		return nil
	}
}
