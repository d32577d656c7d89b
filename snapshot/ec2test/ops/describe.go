package ops

import (
	"fmt"
	"slices"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type describeSnapshotsIn struct {
	dry
	paging
	Filters    []filter `q:"Filter"`
	Owners     []string `q:"Owner"`
	Restorable []string `q:"RestorableBy"`
	IDs        []string `q:"SnapshotId"`
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
	Tags        []Tag      `xml:"tagSet>item"`
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
		Transfer: transfer(s), Minutes: s.Duration, Tags: tagSet(tags),
	}
	if s.State == "completed" {
		out.Bytes = s.Bytes()
	}
	return out
}

var snapshotFields = fields[*world.Snapshot]{
	"description":   func(s *world.Snapshot) []string { return one(s.Description) },
	"encrypted":     func(s *world.Snapshot) []string { return truth(s.Encrypted) },
	"owner-alias":   func(s *world.Snapshot) []string { return one(s.Alias) },
	"owner-id":      func(s *world.Snapshot) []string { return one(s.Owner) },
	"progress":      func(s *world.Snapshot) []string { return one(fmt.Sprintf("%d%%", s.Progress())) },
	"snapshot-id":   func(s *world.Snapshot) []string { return one(s.ID) },
	"start-time":    func(s *world.Snapshot) []string { return when(s.Started) },
	"status":        func(s *world.Snapshot) []string { return one(s.State) },
	"storage-tier":  func(s *world.Snapshot) []string { return one(tier(s)) },
	"transfer-type": func(s *world.Snapshot) []string { return one(transfer(s)) },
	"volume-id":     func(s *world.Snapshot) []string { return one(s.Volume) },
	"volume-size":   func(s *world.Snapshot) []string { return number(s.GiB) },
}

func describeSnapshots(r *Request, in describeSnapshotsIn) (any, error) {
	if err := checkIDs("snap", in.IDs); err != nil {
		return nil, err
	}
	if err := snapshotFields.check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.page("snapshotId", []any{in.Filters, in.Owners, in.Restorable}, len(in.IDs), 5, true)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		s, err := r.snapshot(id)
		if err != nil {
			return nil, err
		}
		if !s.Seen() {
			return nil, notFound(id)
		}
	}
	owned := func(s *world.Snapshot) bool {
		return len(in.Owners) == 0 || slices.ContainsFunc(in.Owners, func(o string) bool {
			return o == s.Owner || o == s.Alias && o != "" || o == "self" && s.Owner == world.Account
		})
	}
	restorable := func(s *world.Snapshot) bool {
		return len(in.Restorable) == 0 || slices.ContainsFunc(in.Restorable, func(o string) bool {
			return o == "all" && s.Public || o == "self" && visible(s) || o == s.Owner || slices.Contains(s.SharedWith, o)
		})
	}
	out := describeSnapshotsOut{}
	out.Next = take(r, pg, r.Snapshots.Of(in.IDs, pg.after), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(s *world.Snapshot) bool {
		return visible(s) && owned(s) && restorable(s) && snapshotFields.match(s, s.Shown(), in.Filters) && (len(in.IDs) > 0 || s.Seen())
	}, func(s *world.Snapshot) {
		progress := r.Describe(s)
		out.Snapshots = append(out.Snapshots, describe(s, fmt.Sprintf("%d%%", progress), s.SeenTags()))
	})
	return out, nil
}

type zoneIn struct {
	dry
	All     bool     `q:"AllAvailabilityZones"`
	Filters []filter `q:"Filter"`
	IDs     []string `q:"ZoneId"`
	Names   []string `q:"ZoneName"`
}

type zoneOut struct {
	Name   string `xml:"zoneName"`
	ID     string `xml:"zoneId"`
	State  string `xml:"zoneState"`
	Region string `xml:"regionName"`
	Type   string `xml:"zoneType"`
	Opt    string `xml:"optInStatus"`
	Group  string `xml:"groupName"`
	Border string `xml:"networkBorderGroup"`
}

type zonesOut struct {
	Zones []zoneOut `xml:"availabilityZoneInfo>item"`
}

var zoneFields = fields[zoneOut]{
	"group-name": func(z zoneOut) []string { return one(z.Group) }, "message": nil, "opt-in-status": func(z zoneOut) []string { return one(z.Opt) },
	"parent-zone-id": nil, "parent-zone-name": nil, "region-name": func(z zoneOut) []string { return one(z.Region) },
	"state": func(z zoneOut) []string { return one(z.State) }, "zone-id": func(z zoneOut) []string { return one(z.ID) },
	"zone-type": func(z zoneOut) []string { return one(z.Type) }, "zone-name": func(z zoneOut) []string { return one(z.Name) },
}

func describeZones(r *Request, in zoneIn) (any, error) {
	if err := zoneFields.check(in.Filters); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, name := range in.Names {
		if !r.HasZone(name) {
			return nil, query.Refuse("InvalidParameterValue", "Invalid availability zone: [%s]", name)
		}
	}
	out := zonesOut{}
	for _, name := range r.Zones {
		z := zoneOut{name, r.ZoneID(name), "available", r.Name, "availability-zone", "opt-in-not-required", r.Name, r.Name}
		if (len(in.Names) == 0 || slices.Contains(in.Names, name)) && (len(in.IDs) == 0 || slices.Contains(in.IDs, z.ID)) && zoneFields.match(z, nil, in.Filters) {
			out.Zones = append(out.Zones, z)
		}
	}
	return out, nil
}

type regionsIn struct {
	dry
	All     bool     `q:"AllRegions"`
	Filters []filter `q:"Filter"`
	Names   []string `q:"RegionName"`
}

type regionOut struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	Opt      string `xml:"optInStatus"`
}

type regionsOut struct {
	Regions []regionOut `xml:"regionInfo>item"`
}

var regionFields = fields[regionOut]{
	"endpoint": func(x regionOut) []string { return one(x.Endpoint) }, "opt-in-status": func(x regionOut) []string { return one(x.Opt) },
	"region-name": func(x regionOut) []string { return one(x.Name) },
}

func describeRegions(r *Request, in regionsIn) (any, error) {
	if err := regionFields.check(in.Filters); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	out := regionsOut{}
	for _, name := range in.Names {
		if !slices.Contains(world.RegionNames(), name) {
			return nil, query.Refuse("InvalidParameterValue", "Invalid region names provided: %s", name)
		}
	}
	for _, name := range world.RegionNames() {
		x := regionOut{name, "ec2." + name + ".amazonaws.com", "opt-in-not-required"}
		if (len(in.Names) == 0 || slices.Contains(in.Names, name)) && regionFields.match(x, nil, in.Filters) {
			out.Regions = append(out.Regions, x)
		}
	}
	return out, nil
}
