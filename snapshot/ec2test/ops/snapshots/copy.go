package snapshots

import (
	"net/url"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type copySnapshotIn struct {
	call.Dry
	SourceRegion string                  `q:"SourceRegion,required"`
	SourceID     string                  `q:"SourceSnapshotId,required"`
	Destination  string                  `q:"DestinationRegion"`
	Presigned    string                  `q:"PresignedUrl"`
	Description  string                  `q:"Description"`
	Encrypted    *bool                   `q:"Encrypted"`
	KMSKey       string                  `q:"KmsKeyId"`
	Minutes      *int                    `q:"CompletionDurationMinutes"`
	Tags         []call.TagSpecification `q:"TagSpecification"`
}

type copySnapshotOut struct {
	ID   string     `xml:"snapshotId"`
	Tags []call.Tag `xml:"tagSet>item"`
}

func copySnapshot(r *call.Request, in copySnapshotIn) (any, error) {
	if err := call.CheckID("snap", in.SourceID); err != nil {
		return nil, err
	}
	tags, err := checkCreation(in.Tags, in.Description, "")
	if err != nil {
		return nil, err
	}
	if err := checkCopy(r, in); err != nil {
		return nil, err
	}
	if err := r.May(call.NeedsTagging(in.Tags)...); err != nil {
		return nil, err
	}
	from := &call.Request{Region: r.World.Region(in.SourceRegion), Denied: r.Denied}
	source, err := from.Snapshot(in.SourceID)
	if err != nil {
		return nil, err
	}
	if source.State != "completed" {
		return nil, query.Refuse("IncorrectState", "The snapshot '%s' is in the '%s' state. It has to be completed to be copied.", source.ID, source.State)
	}
	if source.Archived && source.Restored.IsZero() {
		return nil, query.Refuse("IncorrectState", "The snapshot '%s' is in the archive tier. It has to be restored to be copied.", source.ID)
	}
	encrypted := source.Encrypted || in.Encrypted != nil || r.Encrypt[r.Name]
	if in.KMSKey != "" && !encrypted {
		return nil, query.Refuse("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	if source.Encrypted && in.Presigned == "" {
		return nil, query.Refuse("MissingParameter", "The request must contain the parameter PresignedUrl: the source snapshot is encrypted")
	}
	if err := mayCopy(r); err != nil {
		return nil, err
	}
	s := &world.Snapshot{
		Volume: world.ArbitraryVolume, Owner: world.Account, Description: in.Description, State: "pending", GiB: source.GiB, Started: r.Now(),
		Encrypted: encrypted, Copy: true, Lineage: source.Lineage,
	}
	if in.Minutes != nil {
		s.Duration = *in.Minutes
	}
	s.KMSKey, s.Fails = r.KeyOf(in.KMSKey, encrypted)
	if k := from.FindKey(source.KMSKey); source.Encrypted && (k == nil || k.Disabled || k.Pending) {
		s.Fails = call.BadKey
	}
	if in.Presigned != "" && !presigned(r, in) {
		s.Fails = "The presigned URL is not valid"
	}
	if source.File != "" {
		s.File = r.File("snapshot")
		if err := r.Share(source.File, s.File); err != nil {
			return nil, err
		}
	}
	r.Full(s)
	r.Make(&s.Meta, "snap", tags)
	r.Snapshots.Add(s)
	return copySnapshotOut{s.ID, call.TagSet(s.Tags)}, nil
}

func checkCopy(r *call.Request, in copySnapshotIn) error {
	if r.World.Region(in.SourceRegion) == nil {
		return query.Refuse("InvalidParameterValue", "Invalid source region: %s", in.SourceRegion)
	}
	if in.Destination != "" && in.Destination != r.Name {
		return query.Refuse("InvalidParameterValue", "The destination region %s is not that of the endpoint, %s", in.Destination, r.Name)
	}
	if in.Encrypted != nil && !*in.Encrypted {
		return query.Refuse("InvalidParameterValue", "Value (false) for parameter encrypted is invalid. It can only be true.")
	}
	if in.Minutes != nil && (*in.Minutes < 15 || *in.Minutes > 2880 || *in.Minutes%15 != 0) {
		return query.Refuse("InvalidParameterValue", "Value (%d) for parameter completionDurationMinutes is invalid. It must be between 15 and 2880, in increments of 15.", *in.Minutes)
	}
	return nil
}

// mayCopy refuses more concurrent copies than a region takes, and more snapshots than an account may have.
func mayCopy(r *call.Request) error {
	limit, pending := r.CopyLimit, 0
	if limit == 0 {
		limit = 20
	}
	for s := range r.Snapshots.All(0) {
		if s.Copy && s.State == "pending" && s.Owner == world.Account {
			pending++
		}
	}
	if pending >= limit {
		return query.Refuse("ResourceLimitExceeded", "The maximum number of concurrent snapshot copies to %s, %d, has been reached", r.Name, limit)
	}
	if count(r, world.Account) >= r.Quota() {
		return query.Refuse("SnapshotLimitExceeded", "You have exceeded your maximum snapshot limit of %d", r.Quota())
	}
	return nil
}

// presigned tells whether the URL was signed for the source's region, and is for this copy.
func presigned(r *call.Request, in copySnapshotIn) bool {
	region, form, err := r.Verify(in.Presigned)
	return err == nil && region == in.SourceRegion && presignedFor(form, in, r.Name)
}

func presignedFor(form url.Values, in copySnapshotIn, destination string) bool {
	return form.Get("Action") == "CopySnapshot" && form.Get("SourceSnapshotId") == in.SourceID && form.Get("SourceRegion") == in.SourceRegion &&
		form.Get("DestinationRegion") == destination
}
