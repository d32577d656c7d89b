// Package take takes sets of snapshots: all volumes of one instance by one call, at one moment, while the database and the file systems on them
// stand still, if that is asked for.
//
// What stands still is let go in the reverse order, whatever happens: an error, the end of the context, a time limit, a panic. While it stands
// still each call is made once, with a deadline. EC2's calls have no client token: before a call is made again that got no answer, the set's tags
// are looked for.
//
// The invariant: tags never say more of a set than is certain at that moment. A set begins as Crash, or Apart if one call cannot take it, and is
// raised when everything has stood still until after the last answer.
package take

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

// What Options mean where they say nothing.
const (
	DefaultMost     = 15 * time.Second
	DefaultPatience = 2 * time.Minute
	DefaultAttempts = 3
)

// ErrWeaker says that a set cannot be, or is not, as consistent as it has to be.
var ErrWeaker = errors.New("the snapshots are less consistent than they have to be")

// Mounts are the file systems on the volumes.
type Mounts interface {
	// Freeze writes down what was written to files, and holds writers back until Thaw, or until most has passed, whatever becomes of this
	// process. If it fails, nothing is held.
	Freeze(ctx context.Context, most time.Duration) (Frozen, error)
}

// Frozen are file systems that stand still.
type Frozen interface {
	// Thaw lets writers go on. It fails if they were let go before. A second call does nothing.
	Thaw() error
	// Lasted is how long writers were held back, once they are not.
	Lasted() time.Duration
}

// Options say how to take a set. The zero value takes it as it is, without a lock or a freeze.
type Options struct {
	Job, Host, Class string
	Require          snapshot.Consistency // if less can be had, nothing is taken; if it turns out so afterwards, that is an error. Empty: Apart
	Freezer          snapshot.Freezer     // nil: no database is asked
	Mounts           Mounts               // nil: nothing is frozen
	// Pre runs before all that, and makes another database stand still; Post lets it go, and runs if Pre was begun. nil: nothing to do.
	Pre, Post func(ctx context.Context) error
	Most      time.Duration // that database and file systems stand still; 0: DefaultMost
	Patience  time.Duration // with which a set is looked for whose call got no answer; 0: DefaultPatience
	Pause     time.Duration // between two looks, and before another attempt after throttling; 0: 2 s
	Attempts  int           // how often all is tried if EC2 throttles; 0: DefaultAttempts
	Now       func() time.Time
	Random    io.Reader // nil: crypto/rand's
}

// A Result is what was taken, also if there is an error.
type Result struct {
	Set      sets.Set
	Position snapshot.Position // of the set, with all GTIDs, also if they are too long for a tag
	Attempts int
	Locked   time.Duration // the database stood still
	Frozen   time.Duration // the file systems stood still
	Called   time.Duration // the calls of the last attempt took
	Dropped  []sets.Dropped
	Problems []error // what went wrong without making the set any less
}

func (o Options) complete() Options {
	o.Most, o.Patience, o.Pause = cmp.Or(o.Most, DefaultMost), cmp.Or(o.Patience, DefaultPatience), cmp.Or(o.Pause, 2*time.Second)
	o.Attempts, o.Require = cmp.Or(o.Attempts, DefaultAttempts), cmp.Or(o.Require, snapshot.Apart)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return o
}

// Take takes what is planned. If it fails, the Result has what was taken all the same.
func Take(ctx context.Context, c *cloud.Cloud, p *Plan, o Options) (*Result, error) {
	o = o.complete()
	t := &taker{c: c, plan: p, o: o, result: &Result{}, open: p.calls}
	if err := t.begin(); err != nil {
		return t.result, err
	}
	if most := t.most(); !most.AtLeast(o.Require) {
		return t.result, fmt.Errorf("take a set: %s is the most without a freeze of all file systems, or a lock of the database, and %s is required: %w", most, o.Require, ErrWeaker)
	}
	if err := t.warm(ctx); err != nil {
		return t.result, err
	}
	err := t.attempts(ctx)
	if len(t.made) == 0 {
		return t.result, err
	}
	err = errors.Join(err, t.finish(ctx))
	if reached := t.result.Set.Consistency; err == nil && !reached.AtLeast(o.Require) {
		err = fmt.Errorf("take set %s: it is %s (%s), and %s is required: %w", t.label.ID, reached, cmp.Or(t.result.Set.Why, "nothing more was asked for"), o.Require, ErrWeaker)
	}
	return t.result, err
}

// A taker is one run of Take.
type taker struct {
	c      *cloud.Cloud
	plan   *Plan
	o      Options
	label  snapshot.Label
	result *Result

	warmed  time.Time
	open    []call              // calls that have not succeeded yet
	made    []snapshot.Snapshot // by those that have
	reached snapshot.Consistency
	why     string // it is no more than that; both are empty while nothing has gone wrong
	locked  bool   // the position is that of all snapshots
	apart   bool   // they are of several attempts, so that it is not
}

func (t *taker) begin() error {
	var b [4]byte
	if _, err := io.ReadFull(t.o.Random, b[:]); err != nil {
		return fmt.Errorf("make the id of a set: %w", err)
	}
	now := t.o.Now().UTC().Truncate(time.Millisecond)
	t.label = snapshot.Label{
		ID: now.Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:]), Job: t.o.Job, Host: t.o.Host, Time: now, Class: t.o.Class,
		Consistency: t.least(), Volumes: t.plan.Volumes,
	}
	if t.o.Freezer != nil || t.o.Mounts != nil {
		t.label.Why = unconfirmed
	}
	_, err := snapshot.Encode(t.label)
	return err
}

// unconfirmed is what tags say until all that stood still was let go.
const unconfirmed = "nothing has confirmed yet that all stood still"

// least is what one attempt reaches without anything that stands still.
func (t *taker) least() snapshot.Consistency {
	if t.plan.Together() {
		return snapshot.Crash
	}
	return snapshot.Apart
}

// most is what it reaches if nothing goes wrong.
func (t *taker) most() snapshot.Consistency {
	switch {
	case t.o.Mounts == nil || t.plan.Instance == "": // others write to what is not this instance's
		return t.least()
	case t.o.Freezer == nil:
		return snapshot.FileSystem
	}
	return snapshot.Application
}
