package snapshots

import (
	"fmt"
	"slices"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type describeSnapshotsIn struct {
	call.Dry
	call.Paging
	Filters    []call.Filter `q:"Filter"`
	Owners     []string      `q:"Owner"`
	Restorable []string      `q:"RestorableBy"`
	IDs        []string      `q:"SnapshotId"`
}

type snapshotOut struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	State       string     `xml:"status"`
	Message     string     `xml:"statusMessage,omitempty"`
	Started     query.Time `xml:"startTime"`
	Completed   query.Time `xml:"completionTime"`
	Progress    string     `xml:"progress"`
	Owner       string     `xml:"ownerId"`
	Alias       string     `xml:"ownerAlias,omitempty"`
	GiB         int        `xml:"volumeSize"`
	Description string     `xml:"description"`
	Encrypted   bool       `xml:"encrypted"`
	KMSKey      string     `xml:"kmsKeyId,omitempty"`
	Tier        string     `xml:"storageTier"`
	Restored    query.Time `xml:"restoreExpiryTime"`
	Transfer    string     `xml:"transferType,omitempty"`
	Minutes     int        `xml:"completionDurationMinutes,omitempty"`
	Bytes       int64      `xml:"fullSnapshotSizeInBytes,omitempty"`
	Tags        []call.Tag `xml:"tagSet>item"`
}

type describeSnapshotsOut struct {
	Snapshots []snapshotOut `xml:"snapshotSet>item"`
	Next      string        `xml:"nextToken,omitempty"`
}

func tier(s *world.Snapshot) string {
	if s.Archived {
		return "archive"
	}
	return "standard"
}

func transfer(s *world.Snapshot) string {
	switch {
	case s.Duration > 0:
		return "time-based"
	case s.Copy:
		return "standard"
	}
	return ""
}

func describe(s *world.Snapshot, progress string, tags map[string]string) snapshotOut {
	out := snapshotOut{
		ID: s.ID, Volume: s.Volume, State: s.State, Message: s.Message, Started: query.Time{Time: s.Started}, Completed: query.Time{Time: s.Completed}, Progress: progress,
		Owner: s.Owner, Alias: s.Alias, GiB: s.GiB, Description: s.Description, Encrypted: s.Encrypted, KMSKey: s.KMSKey, Tier: tier(s), Restored: query.Time{Time: s.Restored},
		Transfer: transfer(s), Minutes: s.Duration, Tags: call.TagSet(tags),
	}
	if s.State == "completed" {
		out.Bytes = s.Bytes()
	}
	return out
}

var snapshotFields = call.Fields[*world.Snapshot]{
	"description":   func(s *world.Snapshot) []string { return call.One(s.Description) },
	"encrypted":     func(s *world.Snapshot) []string { return call.Truth(s.Encrypted) },
	"owner-alias":   func(s *world.Snapshot) []string { return call.One(s.Alias) },
	"owner-id":      func(s *world.Snapshot) []string { return call.One(s.Owner) },
	"progress":      func(s *world.Snapshot) []string { return call.One(fmt.Sprintf("%d%%", s.Progress())) },
	"snapshot-id":   func(s *world.Snapshot) []string { return call.One(s.ID) },
	"start-time":    func(s *world.Snapshot) []string { return call.When(s.Started) },
	"status":        func(s *world.Snapshot) []string { return call.One(s.State) },
	"storage-tier":  func(s *world.Snapshot) []string { return call.One(tier(s)) },
	"transfer-type": func(s *world.Snapshot) []string { return call.One(transfer(s)) },
	"volume-id":     func(s *world.Snapshot) []string { return call.One(s.Volume) },
	"volume-size":   func(s *world.Snapshot) []string { return call.Number(s.GiB) },
}

func describeSnapshots(r *call.Request, in describeSnapshotsIn) (any, error) {
	if err := call.CheckIDs("snap", in.IDs); err != nil {
		return nil, err
	}
	if err := snapshotFields.Check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("snapshotId", []any{in.Filters, in.Owners, in.Restorable}, len(in.IDs), 5, true)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		s, err := r.Snapshot(id)
		if err != nil {
			return nil, err
		}
		if !s.Seen() {
			return nil, call.NotFound(id)
		}
	}
	owned := func(s *world.Snapshot) bool {
		return len(in.Owners) == 0 || slices.ContainsFunc(in.Owners, func(o string) bool {
			return o == s.Owner || o == s.Alias && o != "" || o == "self" && s.Owner == world.Account
		})
	}
	restorable := func(s *world.Snapshot) bool {
		return len(in.Restorable) == 0 || slices.ContainsFunc(in.Restorable, func(o string) bool {
			return o == "all" && s.Public || o == "self" && call.Visible(s) || o == s.Owner || slices.Contains(s.SharedWith, o)
		})
	}
	out := describeSnapshotsOut{}
	out.Next = call.Paged(r, pg, r.Snapshots.Of(in.IDs, pg.After), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(s *world.Snapshot) bool {
		return call.Visible(s) && owned(s) && restorable(s) && snapshotFields.Match(s, s.Shown(), in.Filters) && (len(in.IDs) > 0 || s.Seen())
	}, func(s *world.Snapshot) {
		progress := r.Describe(s)
		out.Snapshots = append(out.Snapshots, describe(s, fmt.Sprintf("%d%%", progress), s.SeenTags()))
	})
	return out, nil
}
