package snapshots

import (
	"time"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// day is what locks, archives and the Recycle Bin count in.
const day = 24 * time.Hour

type lockSnapshotIn struct {
	call.Dry
	Mode    string    `q:"LockMode,required"`
	ID      string    `q:"SnapshotId,required"`
	CoolOff *int      `q:"CoolOffPeriod"`
	Until   time.Time `q:"ExpirationDate"`
	Days    *int      `q:"LockDuration"`
}

type lockOut struct {
	ID      string     `xml:"snapshotId"`
	Owner   string     `xml:"ownerId,omitempty"`
	State   string     `xml:"lockState"`
	Days    int        `xml:"lockDuration,omitempty"`
	CoolOff int        `xml:"coolOffPeriod,omitempty"`
	Cooled  query.Time `xml:"coolOffPeriodExpiresOn"`
	Created query.Time `xml:"lockCreatedOn"`
	Starts  query.Time `xml:"lockDurationStartTime"`
	Expires query.Time `xml:"lockExpiresOn"`
}

func lockState(r *call.Request, l *world.Lock) string {
	switch {
	case r.Unlocked(l):
		return "expired"
	case l.Mode == "compliance" && r.Now().Before(l.Cooled()):
		return "compliance-cooloff"
	}
	return l.Mode
}

func describeLock(r *call.Request, s *world.Snapshot) lockOut {
	l := s.Lock
	out := lockOut{ID: s.ID, State: lockState(r, l), Days: l.Days, CoolOff: l.CoolOff, Created: query.Time{Time: l.Created}, Starts: query.Time{Time: l.Starts}, Expires: query.Time{Time: l.Expires}}
	if l.CoolOff > 0 {
		out.Cooled = query.Time{Time: l.Cooled()}
	}
	return out
}

func (in lockSnapshotIn) check(now time.Time) error {
	if err := call.CheckID("snap", in.ID); err != nil {
		return err
	}
	switch {
	case in.Mode != "governance" && in.Mode != "compliance":
		return query.Refuse("InvalidParameterValue", "Value (%s) for parameter lockMode is invalid.", in.Mode)
	case (in.Days == nil) == in.Until.IsZero():
		return query.Refuse("InvalidParameterCombination", "Specify either LockDuration or ExpirationDate")
	case in.Days != nil && (*in.Days < 1 || *in.Days > 36500):
		return query.Refuse("InvalidParameterValue", "Value (%d) for parameter lockDuration is invalid. It must be between 1 and 36500.", *in.Days)
	case in.Days == nil && in.Until.Before(now.Add(day)):
		return query.Refuse("InvalidParameterValue", "The expiration date has to be at least a day ahead")
	case in.CoolOff != nil && in.Mode == "governance":
		return query.Refuse("InvalidParameterCombination", "CoolOffPeriod is for the compliance mode alone")
	case in.CoolOff != nil && (*in.CoolOff < 1 || *in.CoolOff > 72):
		return query.Refuse("InvalidParameterValue", "Value (%d) for parameter coolOffPeriod is invalid. It must be between 1 and 72.", *in.CoolOff)
	}
	return nil
}

func lockSnapshot(r *call.Request, in lockSnapshotIn) (any, error) {
	if err := in.check(r.Now()); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, err := r.Own(in.ID)
	if err != nil {
		return nil, err
	}
	l := &world.Lock{Mode: in.Mode, Created: r.Now(), Starts: r.Now(), Expires: in.Until}
	if in.CoolOff != nil {
		l.CoolOff = *in.CoolOff
	}
	if in.Days != nil {
		l.Days, l.Expires = *in.Days, r.Now().Add(time.Duration(*in.Days)*day)
	}
	if before := s.Lock; before != nil && lockState(r, before) == "compliance" {
		if in.Mode != "compliance" || in.CoolOff != nil || l.Expires.Before(before.Expires) {
			return nil, query.Refuse("SnapshotLocked", "The lock of snapshot %s in compliance mode can only be extended", s.ID)
		}
	}
	s.Lock = l
	return describeLock(r, s), nil
}

type unlockSnapshotIn struct {
	call.Dry
	ID string `q:"SnapshotId,required"`
}

type unlockSnapshotOut struct {
	ID string `xml:"snapshotId"`
}

func unlockSnapshot(r *call.Request, in unlockSnapshotIn) (any, error) {
	if err := call.CheckID("snap", in.ID); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, err := r.Own(in.ID)
	if err != nil {
		return nil, err
	}
	if s.Lock == nil || lockState(r, s.Lock) == "expired" {
		return nil, query.Refuse("SnapshotNotLocked", "The snapshot %s is not locked", s.ID)
	}
	if lockState(r, s.Lock) == "compliance" {
		return nil, query.Refuse("SnapshotLocked", "The snapshot %s is locked in compliance mode", s.ID)
	}
	s.Lock = nil
	return unlockSnapshotOut{s.ID}, nil
}

type describeLockedIn struct {
	call.Dry
	call.Paging
	Filters []call.Filter `q:"Filter"`
	IDs     []string      `q:"SnapshotId"`
}

type describeLockedOut struct {
	Snapshots []lockOut `xml:"snapshotSet>item"`
	Next      string    `xml:"nextToken,omitempty"`
}

func describeLockedSnapshots(r *call.Request, in describeLockedIn) (any, error) {
	if err := call.CheckIDs("snap", in.IDs); err != nil {
		return nil, err
	}
	known := call.Fields[*world.Snapshot]{"lock-state": func(s *world.Snapshot) []string { return call.One(lockState(r, s.Lock)) }}
	if err := known.CheckOnly(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("snapshotId", in.Filters, len(in.IDs), 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, err := r.Own(id); err != nil {
			return nil, err
		}
	}
	out := describeLockedOut{}
	out.Next = call.Paged(r, pg, r.Snapshots.Of(in.IDs, pg.After), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(s *world.Snapshot) bool {
		return s.Owner == world.Account && s.Lock != nil && known.Match(s, nil, in.Filters)
	}, func(s *world.Snapshot) {
		o := describeLock(r, s)
		o.Owner = s.Owner
		out.Snapshots = append(out.Snapshots, o)
	})
	return out, nil
}
