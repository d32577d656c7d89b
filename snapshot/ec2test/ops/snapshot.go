package ops

import (
	"maps"
	"slices"
	"strings"
	"time"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type createSnapshotIn struct {
	dry
	VolumeID    string             `q:"VolumeId,required"`
	Description string             `q:"Description"`
	Tags        []tagSpecification `q:"TagSpecification"`
	Location    string             `q:"Location"`
}

type instanceSpecification struct {
	InstanceID  string   `q:"InstanceId,required"`
	WithoutBoot bool     `q:"ExcludeBootVolume"`
	Without     []string `q:"ExcludeDataVolumeId"`
}

type createSnapshotsIn struct {
	dry
	Instance    instanceSpecification `q:"InstanceSpecification,required"`
	Description string                `q:"Description"`
	CopyTags    string                `q:"CopyTagsFromSource"`
	Tags        []tagSpecification    `q:"TagSpecification"`
	Location    string                `q:"Location"`
}

type snapshotInfo struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	State       string     `xml:"state"`
	Started     query.Time `xml:"startTime"`
	Progress    string     `xml:"progress"`
	Owner       string     `xml:"ownerId"`
	Description string     `xml:"description"`
	GiB         int        `xml:"volumeSize"`
	Encrypted   bool       `xml:"encrypted"`
	Tags        []Tag      `xml:"tagSet>item"`
}

type createSnapshotsOut struct {
	Snapshots []snapshotInfo `xml:"snapshotSet>item"`
}

const maxDescription = 255

func checkLocation(location string) error {
	if location != "" {
		return query.Refuse("InvalidParameterCombination", "The parameter Location is supported for volumes in Local Zones only")
	}
	return nil
}

func checkDescription(d string) error {
	if len(d) > maxDescription {
		return query.Refuse("InvalidParameterValue", "Value (%s) for parameter description is invalid. The description can have up to %d characters.", d, maxDescription)
	}
	return nil
}

// needsTagging is the permission that tags at creation need besides.
func needsTagging(specs []tagSpecification) []string {
	if len(specs) == 0 {
		return nil
	}
	return []string{"ec2:CreateTags"}
}

func createSnapshot(r *Request, in createSnapshotIn) (any, error) {
	if err := checkID("vol", in.VolumeID); err != nil {
		return nil, err
	}
	tags, err := checkCreation(in.Tags, in.Description, in.Location)
	if err != nil {
		return nil, err
	}
	if err := r.May(needsTagging(in.Tags)...); err != nil {
		return nil, err
	}
	v, err := r.volume(in.VolumeID)
	if err != nil {
		return nil, err
	}
	snapshots, err := r.take([]*world.Volume{v}, in.Description, func(*world.Volume) map[string]string { return tags })
	if err != nil {
		return nil, err
	}
	return describe(snapshots[0], "", snapshots[0].Tags), nil
}

func checkCreation(specs []tagSpecification, description, location string) (map[string]string, error) {
	tags, err := specified(specs, "snapshot")
	if err != nil {
		return nil, err
	}
	if err := checkDescription(description); err != nil {
		return nil, err
	}
	return tags, checkLocation(location)
}

func createSnapshots(r *Request, in createSnapshotsIn) (any, error) {
	if err := checkID("i", in.Instance.InstanceID); err != nil {
		return nil, err
	}
	if err := checkIDs("vol", in.Instance.Without); err != nil {
		return nil, err
	}
	if n := len(in.Instance.Without); n > 40 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 40 data volumes can be excluded; %d were specified", n)
	}
	if in.CopyTags != "" && in.CopyTags != "volume" {
		return nil, query.Refuse("InvalidParameterValue", "Value (%s) for parameter CopyTagsFromSource is invalid. Expected: 'volume'.", in.CopyTags)
	}
	tags, err := checkCreation(in.Tags, in.Description, in.Location)
	if err != nil {
		return nil, err
	}
	more := needsTagging(in.Tags)
	if in.CopyTags != "" {
		more = []string{"ec2:CreateTags"}
	}
	if err := r.May(more...); err != nil {
		return nil, err
	}
	volumes, err := r.included(in.Instance)
	if err != nil {
		return nil, err
	}
	of := map[string]map[string]string{}
	for _, v := range volumes {
		of[v.ID] = maps.Clone(tags)
		if in.CopyTags == "" {
			continue
		}
		for k, value := range v.Tags {
			if _, ok := tags[k]; !ok && !strings.HasPrefix(k, "aws:") {
				of[v.ID][k] = value
			}
		}
		if err := tooMany(of[v.ID]); err != nil {
			return nil, err
		}
	}
	snapshots, err := r.take(volumes, in.Description, func(v *world.Volume) map[string]string { return of[v.ID] })
	if err != nil {
		return nil, err
	}
	out := createSnapshotsOut{}
	for _, s := range snapshots {
		out.Snapshots = append(out.Snapshots, snapshotInfo{s.ID, s.Volume, s.State, query.Time{Time: s.Started}, "", s.Owner, s.Description, s.GiB, s.Encrypted, tagSet(s.Tags)})
	}
	return out, nil
}

// included returns the volumes of an instance that a call is to take.
func (r *Request) included(spec instanceSpecification) ([]*world.Volume, error) {
	i, err := r.instance(spec.InstanceID)
	if err != nil {
		return nil, err
	}
	if i.State == "terminated" || i.State == "shutting-down" || i.State == "pending" {
		return nil, query.Refuse("IncorrectInstanceState", "The instance '%s' is not in a valid state: it is %s", i.ID, i.State)
	}
	attached := r.attached(i)
	for _, id := range spec.Without {
		n := slices.IndexFunc(attached, func(v *world.Volume) bool { return v.ID == id })
		if n < 0 {
			return nil, query.Refuse("InvalidParameterValue", "The volume '%s' is not attached to instance '%s'", id, i.ID)
		}
		if attached[n].Attachment.Device == i.RootDevice {
			return nil, query.Refuse("InvalidParameterValue", "The volume '%s' is the root volume of instance '%s', and not a data volume", id, i.ID)
		}
	}
	var volumes []*world.Volume
	for _, v := range attached {
		if boot := v.Attachment.Device == i.RootDevice; boot && spec.WithoutBoot || slices.Contains(spec.Without, v.ID) {
			continue
		}
		volumes = append(volumes, v)
	}
	if len(volumes) == 0 {
		return nil, query.Refuse("InvalidParameterValue", "No volumes of instance '%s' are left to take snapshots of", i.ID)
	}
	if len(volumes) > 128 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 128 volumes can be in one multi-volume snapshot")
	}
	return volumes, nil
}

// attached returns the volumes of an instance, in order of their devices.
func (r *Request) attached(i *world.Instance) (volumes []*world.Volume) {
	for v := range r.Volumes.All(0) {
		if v.Attachment != nil && v.Attachment.Instance == i.ID {
			volumes = append(volumes, v)
		}
	}
	slices.SortFunc(volumes, func(a, b *world.Volume) int { return strings.Compare(a.Attachment.Device, b.Attachment.Device) })
	return volumes
}

// take makes snapshots of volumes as they are at this moment: all of them, or none.
func (r *Request) take(volumes []*world.Volume, description string, tags func(*world.Volume) map[string]string) ([]*world.Snapshot, error) {
	for _, v := range volumes {
		if err := r.mayTake(v); err != nil {
			return nil, err
		}
	}
	if r.count(world.Account)+len(volumes) > r.Quota() {
		return nil, query.Refuse("SnapshotLimitExceeded", "You have exceeded your maximum snapshot limit of %d", r.Quota())
	}
	files, err := r.AtOneMoment(volumes)
	if err != nil {
		return nil, err
	}
	var snapshots []*world.Snapshot
	now := r.Now()
	for i, v := range volumes {
		s := &world.Snapshot{Volume: v.ID, Owner: world.Account, Description: description, State: "pending", GiB: v.GiB, Started: now, Encrypted: v.Encrypted, KMSKey: v.KMSKey, File: files[i], Lineage: v.Lineage}
		r.Make(&s.Meta, "snap", maps.Clone(tags(v)))
		r.Snapshots.Add(s)
		snapshots = append(snapshots, s)
	}
	return snapshots, nil
}

// count is how many snapshots an account has here.
func (r *Request) count(owner string) (n int) {
	for s := range r.Snapshots.All(0) {
		if s.Owner == owner {
			n++
		}
	}
	return n
}

// mayTake refuses a further snapshot of a volume while there are too many under way, or one that has just begun.
func (r *Request) mayTake(v *world.Volume) error {
	if v.State != "available" && v.State != "in-use" {
		return query.Refuse("IncorrectState", "The volume '%s' is '%s'", v.ID, v.State)
	}
	limit := r.PendingLimit
	if limit == 0 {
		limit = 5
	}
	if v.Type == "st1" || v.Type == "sc1" {
		limit = 1
	}
	pending := 0
	for s := range r.Snapshots.All(0) {
		if s.Volume != v.ID || s.State != "pending" {
			continue
		}
		if pending++; r.Now().Sub(s.Started) < 15*time.Second {
			return query.Refuse("SnapshotCreationPerVolumeRateExceeded", "The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable sleep interval between requests.")
		}
	}
	if pending >= limit {
		return query.Refuse("ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a single volume exceeded.")
	}
	return nil
}

type deleteSnapshotIn struct {
	dry
	ID string `q:"SnapshotId,required"`
}

func deleteSnapshot(r *Request, in deleteSnapshotIn) (any, error) {
	if err := checkID("snap", in.ID); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, err := r.own(in.ID)
	if err != nil {
		return nil, err
	}
	for i := range r.Images.All(0) {
		for _, of := range i.Snapshots {
			if of == s.ID && i.Owner == world.Account {
				return nil, query.Refuse("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", s.ID, i.ID)
			}
		}
	}
	if s.Lock != nil && !r.Unlocked(s.Lock) {
		return nil, query.Refuse("SnapshotLocked", "The snapshot %s is locked and can't be deleted.", s.ID)
	}
	r.Snapshots.Delete(s.ID)
	if r.RecycleBin > 0 && s.State == "completed" {
		s.Deleted, s.Expires = r.Now(), r.Now().Add(r.RecycleBin)
		r.Bin.Add(s)
		return done{true}, nil
	}
	r.Remove(s.File)
	return done{true}, nil
}
