// Package snapshots has the operations of EC2 that take, copy, list, lock, archive and delete snapshots, and that bring them back.
//
// The invariant is that of package ops: an operation that is refused has changed nothing.
package snapshots

import (
	"maps"
	"slices"
	"strings"
	"time"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// Operations are those of snapshots.
var Operations = map[string]call.Operation{
	"CopySnapshot": call.Of(copySnapshot), "CreateSnapshot": call.Of(createSnapshot), "CreateSnapshots": call.Of(createSnapshots), "DeleteSnapshot": call.Of(deleteSnapshot),
	"DescribeLockedSnapshots": call.Of(describeLockedSnapshots), "DescribeSnapshotTierStatus": call.Of(describeSnapshotTierStatus), "DescribeSnapshots": call.Of(describeSnapshots),
	"GetSnapshotBlockPublicAccessState": call.Of(getSnapshotBlockPublicAccessState), "ListSnapshotsInRecycleBin": call.Of(listSnapshotsInRecycleBin),
	"LockSnapshot": call.Of(lockSnapshot), "ModifySnapshotTier": call.Of(modifySnapshotTier), "RestoreSnapshotFromRecycleBin": call.Of(restoreSnapshotFromRecycleBin),
	"RestoreSnapshotTier": call.Of(restoreSnapshotTier), "UnlockSnapshot": call.Of(unlockSnapshot),
}

type createSnapshotIn struct {
	call.Dry
	VolumeID    string                  `q:"VolumeId,required"`
	Description string                  `q:"Description"`
	Tags        []call.TagSpecification `q:"TagSpecification"`
	Location    string                  `q:"Location"`
}

type instanceSpecification struct {
	InstanceID  string   `q:"InstanceId,required"`
	WithoutBoot bool     `q:"ExcludeBootVolume"`
	Without     []string `q:"ExcludeDataVolumeId"`
}

type createSnapshotsIn struct {
	call.Dry
	Instance    instanceSpecification   `q:"InstanceSpecification,required"`
	Description string                  `q:"Description"`
	CopyTags    string                  `q:"CopyTagsFromSource"`
	Tags        []call.TagSpecification `q:"TagSpecification"`
	Location    string                  `q:"Location"`
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
	Tags        []call.Tag `xml:"tagSet>item"`
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

func createSnapshot(r *call.Request, in createSnapshotIn) (any, error) {
	if err := call.CheckID("vol", in.VolumeID); err != nil {
		return nil, err
	}
	tags, err := checkCreation(in.Tags, in.Description, in.Location)
	if err != nil {
		return nil, err
	}
	if err := r.May(call.NeedsTagging(in.Tags)...); err != nil {
		return nil, err
	}
	v, err := r.Volume(in.VolumeID)
	if err != nil {
		return nil, err
	}
	snapshots, err := take(r, []*world.Volume{v}, in.Description, func(*world.Volume) map[string]string { return tags })
	if err != nil {
		return nil, err
	}
	return describe(snapshots[0], "", snapshots[0].Tags), nil
}

func checkCreation(specs []call.TagSpecification, description, location string) (map[string]string, error) {
	tags, err := call.Specified(specs, "snapshot")
	if err != nil {
		return nil, err
	}
	if err := checkDescription(description); err != nil {
		return nil, err
	}
	return tags, checkLocation(location)
}

func createSnapshots(r *call.Request, in createSnapshotsIn) (any, error) {
	if err := call.CheckID("i", in.Instance.InstanceID); err != nil {
		return nil, err
	}
	if err := call.CheckIDs("vol", in.Instance.Without); err != nil {
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
	more := call.NeedsTagging(in.Tags)
	if in.CopyTags != "" {
		more = []string{"ec2:CreateTags"}
	}
	if err := r.May(more...); err != nil {
		return nil, err
	}
	volumes, err := included(r, in.Instance)
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
		if err := call.TooMany(of[v.ID]); err != nil {
			return nil, err
		}
	}
	snapshots, err := take(r, volumes, in.Description, func(v *world.Volume) map[string]string { return of[v.ID] })
	if err != nil {
		return nil, err
	}
	out := createSnapshotsOut{}
	for _, s := range snapshots {
		out.Snapshots = append(out.Snapshots, snapshotInfo{s.ID, s.Volume, s.State, query.Time{Time: s.Started}, "", s.Owner, s.Description, s.GiB, s.Encrypted, call.TagSet(s.Tags)})
	}
	return out, nil
}

// included returns the volumes of an instance that a call is to take.
func included(r *call.Request, spec instanceSpecification) ([]*world.Volume, error) {
	i, err := r.Instance(spec.InstanceID)
	if err != nil {
		return nil, err
	}
	if i.State == "terminated" || i.State == "shutting-down" || i.State == "pending" {
		return nil, query.Refuse("IncorrectInstanceState", "The instance '%s' is not in a valid state: it is %s", i.ID, i.State)
	}
	attached := r.Attached(i)
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

// take makes snapshots of volumes as they are at this moment: all of them, or none.
func take(r *call.Request, volumes []*world.Volume, description string, tags func(*world.Volume) map[string]string) ([]*world.Snapshot, error) {
	for _, v := range volumes {
		if err := mayTake(r, v); err != nil {
			return nil, err
		}
	}
	if count(r, world.Account)+len(volumes) > r.Quota() {
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
func count(r *call.Request, owner string) (n int) {
	for s := range r.Snapshots.All(0) {
		if s.Owner == owner {
			n++
		}
	}
	return n
}

// mayTake refuses a further snapshot of a volume while there are too many under way, or one that has just begun.
func mayTake(r *call.Request, v *world.Volume) error {
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
	call.Dry
	ID string `q:"SnapshotId,required"`
}

func deleteSnapshot(r *call.Request, in deleteSnapshotIn) (any, error) {
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
		return call.Done{Return: true}, nil
	}
	r.Remove(s.File)
	return call.Done{Return: true}, nil
}
