package snapshots

import (
	"time"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type tierStatusIn struct {
	call.Dry
	call.Paging
	Filters []call.Filter `q:"Filter"`
}

type tierStatus struct {
	ID       string     `xml:"snapshotId"`
	Volume   string     `xml:"volumeId"`
	State    string     `xml:"status"`
	Owner    string     `xml:"ownerId"`
	Tags     []call.Tag `xml:"tagSet>item"`
	Tier     string     `xml:"storageTier"`
	Started  query.Time `xml:"lastTieringStartTime"`
	Progress int        `xml:"lastTieringProgress"`
	Status   string     `xml:"lastTieringOperationStatus,omitempty"`
	Archived query.Time `xml:"archivalCompleteTime"`
	Restored query.Time `xml:"restoreExpiryTime"`
}

type tierStatusOut struct {
	Snapshots []tierStatus `xml:"snapshotTierStatusSet>item"`
	Next      string       `xml:"nextToken,omitempty"`
}

var tierFields = call.Fields[*world.Snapshot]{
	"snapshot-id":            func(s *world.Snapshot) []string { return call.One(s.ID) },
	"volume-id":              func(s *world.Snapshot) []string { return call.One(s.Volume) },
	"last-tiering-operation": func(s *world.Snapshot) []string { return call.One(s.TierStatus) },
}

func describeSnapshotTierStatus(r *call.Request, in tierStatusIn) (any, error) {
	if err := tierFields.CheckOnly(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("tier", in.Filters, 0, 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	out := tierStatusOut{}
	out.Next = call.Paged(r, pg, r.Snapshots.All(pg.After), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(s *world.Snapshot) bool {
		return s.Owner == world.Account && tierFields.Match(s, s.Shown(), in.Filters)
	}, func(s *world.Snapshot) {
		r.Describe(s)
		progress := 100
		if s.Moving() {
			progress = 50
		}
		out.Snapshots = append(out.Snapshots, tierStatus{
			s.ID, s.Volume, s.State, s.Owner, call.TagSet(s.SeenTags()), tier(s), query.Time{Time: s.TierStart}, progress, s.TierStatus,
			query.Time{Time: s.ArchivedAt}, query.Time{Time: s.Restored},
		})
	})
	return out, nil
}

type modifyTierIn struct {
	call.Dry
	ID   string `q:"SnapshotId,required"`
	Tier string `q:"StorageTier"`
}

type modifyTierOut struct {
	ID      string     `xml:"snapshotId"`
	Started query.Time `xml:"tieringStartTime"`
}

func modifySnapshotTier(r *call.Request, in modifyTierIn) (any, error) {
	if err := call.CheckID("snap", in.ID); err != nil {
		return nil, err
	}
	if in.Tier != "" && in.Tier != "archive" {
		return nil, query.Refuse("InvalidParameterValue", "Value (%s) for parameter storageTier is invalid. Expected: 'archive'.", in.Tier)
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, err := r.Own(in.ID)
	if err != nil {
		return nil, err
	}
	if s.State != "completed" || s.Archived || s.Moving() {
		return nil, query.Refuse("IncorrectState", "The snapshot %s is not completed, or not in the standard tier", s.ID)
	}
	for i := range r.Images.All(0) {
		for _, of := range i.Snapshots {
			if of == s.ID {
				return nil, query.Refuse("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", s.ID, i.ID)
			}
		}
	}
	s.TierStatus, s.TierStart = "archival-in-progress", r.Now()
	return modifyTierOut{s.ID, query.Time{Time: s.TierStart}}, nil
}

type restoreTierIn struct {
	call.Dry
	ID        string `q:"SnapshotId,required"`
	Permanent *bool  `q:"PermanentRestore"`
	Days      *int   `q:"TemporaryRestoreDays"`
}

type restoreTierOut struct {
	ID        string     `xml:"snapshotId"`
	Permanent bool       `xml:"isPermanentRestore"`
	Days      int        `xml:"restoreDuration,omitempty"`
	Started   query.Time `xml:"restoreStartTime"`
}

func restoreSnapshotTier(r *call.Request, in restoreTierIn) (any, error) {
	if err := call.CheckID("snap", in.ID); err != nil {
		return nil, err
	}
	permanent := in.Permanent != nil && *in.Permanent
	if permanent == (in.Days != nil) {
		return nil, query.Refuse("InvalidParameterCombination", "Specify either PermanentRestore or TemporaryRestoreDays")
	}
	if in.Days != nil && (*in.Days < 1 || *in.Days > 180) {
		return nil, query.Refuse("InvalidParameterValue", "Value (%d) for parameter temporaryRestoreDays is invalid. It must be between 1 and 180.", *in.Days)
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, err := r.Own(in.ID)
	if err != nil {
		return nil, err
	}
	if !s.Archived || s.Moving() {
		return nil, query.Refuse("IncorrectState", "The snapshot %s is not in the archive tier", s.ID)
	}
	out := restoreTierOut{ID: s.ID, Permanent: permanent, Started: query.Time{Time: r.Now()}}
	s.TierStart = r.Now()
	if permanent {
		s.TierStatus = "permanent-restore-in-progress"
		return out, nil
	}
	out.Days = *in.Days
	s.TierStatus, s.Restored = "temporary-restore-in-progress", r.Now().Add(time.Duration(*in.Days)*day)
	return out, nil
}
