// Package bring makes volumes of a set of snapshots, attaches them to an instance, and mounts them there.
//
// Every step looks first for what an earlier try has done, so that a run that stopped is gone on with: a volume is known by its tags, and made
// with a client token that the set, the volume, the target and the name of the attempt decide. Undo takes away what an attempt has made.
//
// The invariant: of one attempt there is never a second volume, and nothing is detached, deleted or unmounted that has not the tags of the attempt.
// What a snapshot holds is hostile: no link in it is followed, no program or device of it is to be run, and only options of a mount that are
// known to be harmless are taken from its tags.
//
// The package makes no call to another region than the one that it is given, and knows nothing of what is on the volumes but their file systems.
package bring

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/host"
	"nightjar/snapshot/sets"
)

// Keys of the tags of volumes that are made, beside snapshot.TagSet and snapshot.TagVolume.
const (
	TagSnapshot = snapshot.Prefix + "snapshot" // that the volume was made of
	TagTarget   = snapshot.Prefix + "target"   // the instance, or the zone, that it was made for
	TagAttempt  = snapshot.Prefix + "attempt"
)

var (
	// ErrArchived says that a snapshot is in the archive tier, from where it has to be brought back first.
	ErrArchived = errors.New("the snapshot is in the archive tier")
	// ErrNotWhole says that a set lacks volumes, or that snapshots of it failed.
	ErrNotWhole = errors.New("the set is not whole")
	// ErrPending says that snapshots of a set are not completed yet.
	ErrPending = errors.New("snapshots of the set are not completed yet")
	// ErrUsedUp says that an attempt has made a volume that is gone, or is not as it is asked for now. Another attempt makes a new one.
	ErrUsedUp = errors.New("the attempt's volume cannot be used")
	// ErrElsewhere says that a volume is attached to another instance.
	ErrElsewhere = errors.New("the volume is attached elsewhere")
	// ErrInstance says that nothing can be attached to an instance.
	ErrInstance = errors.New("the instance takes no volumes")
	// ErrNoName says that no device name is free.
	ErrNoName = errors.New("no device name is free")
	// ErrNotMade says that a volume that was made came to be none, as with a key that EBS may not use.
	ErrNotMade = errors.New("the volume came to an error")
)

// Options say what to bring, and where to. The zero value brings all volumes but the root volume.
type Options struct {
	Volumes []string // of the set, by the ids that they had; empty: all
	Boot    bool     // the root volume, too
	Partial bool     // what there is of a set that is not whole

	Zone     string // empty: the instance's
	Instance string // empty: nothing is attached
	Attempt  string // its name; empty: "1"

	Type                       string // of the volumes; empty: gp3
	IOPS, Throughput, InitRate int32  // Throughput and InitRate in MiB/s; 0: what EC2 does
	GiB                        int32  // 0, or less than a snapshot's: the snapshot's
	Encrypted                  bool   // what was not encrypted is
	KMSKey                     string // empty: the snapshot's, or the region's own

	Devices  []string // names to attach under, in order of the volumes; empty: free ones
	Together bool     // attach all, then wait for all

	Every time.Duration // between questions; 0: 3 s
	Limit time.Duration // for each wait; 0: 10 minutes
	Told  func(string)  // is told of each step; nil: nobody
	Now   func() time.Time
}

func (o Options) complete() Options {
	if o.Attempt == "" {
		o.Attempt = "1"
	}
	if o.Type == "" {
		o.Type = "gp3"
	}
	if o.Every <= 0 {
		o.Every = 3 * time.Second
	}
	if o.Limit <= 0 {
		o.Limit = 10 * time.Minute
	}
	if o.Told == nil {
		o.Told = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) target() string {
	if o.Instance != "" {
		return o.Instance
	}
	return o.Zone
}

// A Part is one volume of a set, and how far it was brought.
type Part struct {
	snapshot.Volume                   // as it was taken
	Snapshot        snapshot.Snapshot // of it
	New             string            // the volume that was made of it; empty: none yet
	Made            bool              // by this run: else it was there
	Name            string            // the device name under which it is attached; empty: it is not
	Device          host.Device       // on this machine; zero: nobody has looked
	At              string            // where it is mounted; empty: nowhere
}

// Choose returns the parts of a set that are to be brought, before anything is called. Those in the archive tier come first.
func Choose(s *sets.Set, o Options) ([]Part, error) {
	if s.Pending() {
		return nil, fmt.Errorf("bring set %s: %w: %d%%", s.ID, ErrPending, s.Progress())
	}
	if len(o.Volumes) == 0 && !o.Partial && !s.Whole() {
		return nil, fmt.Errorf("bring set %s: %w: %s", s.ID, ErrNotWhole, lacks(s))
	}
	of := map[string]snapshot.Snapshot{}
	for _, x := range s.Snapshots {
		if x.State == snapshot.Completed {
			of[x.Volume] = x
		}
	}
	wanted := map[string]bool{}
	for _, id := range o.Volumes {
		wanted[id] = true
	}
	var parts, archived []Part
	for _, v := range s.Volumes {
		x, ok := of[v.ID]
		switch {
		case len(wanted) > 0 && !wanted[v.ID], len(wanted) == 0 && v.Boot && !o.Boot:
			delete(wanted, v.ID)
			continue
		case !ok && wanted[v.ID]:
			return nil, fmt.Errorf("bring set %s: %w: it has no completed snapshot of %s", s.ID, ErrNotWhole, v.ID)
		case !ok:
		case x.Archived:
			archived = append(archived, Part{Volume: v, Snapshot: x})
		default:
			parts = append(parts, Part{Volume: v, Snapshot: x})
		}
		delete(wanted, v.ID)
	}
	for id := range wanted {
		return nil, fmt.Errorf("bring set %s: it has no volume %.80q", s.ID, id)
	}
	if parts = append(archived, parts...); len(parts) == 0 {
		return nil, fmt.Errorf("bring set %s: it has nothing but a root volume, which is brought only if that is asked for", s.ID)
	}
	return parts, nil
}

// lacks says why a set is not whole.
func lacks(s *sets.Set) string {
	var all []string
	add := func(what string, ids []string) {
		if len(ids) > 0 {
			all = append(all, what+" "+strings.Join(ids, ", "))
		}
	}
	add("no snapshot of", s.Missing)
	add("failed:", s.Failed)
	add("tags that say something else:", s.Differ)
	for _, x := range s.Extra {
		all = append(all, fmt.Sprintf("%s is of a volume that it does not have, or has twice", x.ID))
	}
	return strings.Join(all, "; ")
}

// token is the client token of a part.
func token(set string, p *Part, o *Options) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"nightjar", set, p.ID, p.Snapshot.ID, o.target(), o.Attempt}, "\x00")))
	return hex.EncodeToString(sum[:])[:60]
}
