package call

import (
	"regexp"
	"slices"
	"strings"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

var hexID = regexp.MustCompile(`^[0-9a-f]{8}([0-9a-f]{9})?$`)

// CheckID refuses an ID that cannot be one.
func CheckID(kind, id string) error {
	rest, ok := strings.CutPrefix(id, kind+"-")
	if ok && hexID.MatchString(rest) {
		return nil
	}
	switch {
	case kind == "i":
		return query.Refuse("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
	case kind == "ami":
		return query.Refuse("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
	case !ok && kind == "snap":
		return query.Refuse("InvalidParameterValue", "Value (%s) for parameter snapshotId is invalid. Expected: 'snap-...'.", id)
	case !ok:
		return query.Refuse("InvalidParameterValue", "Value (%s) for parameter volumeId is invalid. Expected: 'vol-...'.", id)
	case kind == "snap":
		return query.Refuse("InvalidSnapshotID.Malformed", "Invalid id: \"%s\"", id)
	}
	return query.Refuse("InvalidVolumeID.Malformed", "Invalid id: \"%s\"", id)
}

// CheckIDs is CheckID for many.
func CheckIDs(kind string, ids []string) error {
	for _, id := range ids {
		if err := CheckID(kind, id); err != nil {
			return err
		}
	}
	return nil
}

// Volume returns one by its ID.
func (r *Request) Volume(id string) (*world.Volume, error) {
	v, ok := r.Volumes.Get(id)
	if !ok {
		return nil, query.Refuse("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
	}
	return v, nil
}

// Instance returns one by its ID.
func (r *Request) Instance(id string) (*world.Instance, error) {
	i, ok := r.Instances.Get(id)
	if !ok {
		return nil, query.Refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	return i, nil
}

// NotFound refuses a snapshot that is not there.
func NotFound(id string) error {
	return query.Refuse("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
}

// Snapshot returns one that the caller may see.
func (r *Request) Snapshot(id string) (*world.Snapshot, error) {
	s, ok := r.Snapshots.Get(id)
	if !ok || !Visible(s) {
		return nil, NotFound(id)
	}
	return s, nil
}

// Own returns a snapshot that is the caller's.
func (r *Request) Own(id string) (*world.Snapshot, error) {
	s, err := r.Snapshot(id)
	if err == nil && s.Owner != world.Account {
		return nil, &query.Error{Status: 403, Code: "AuthFailure", Message: "Not authorized for resource: " + id}
	}
	return s, err
}

// Visible tells whether the account may see a snapshot: its own, a public one, or one shared with it.
func Visible(s *world.Snapshot) bool {
	return s.Owner == world.Account || s.Public || slices.Contains(s.SharedWith, world.Account)
}

// Attached returns the volumes of an instance, in order of their devices.
func (r *Request) Attached(i *world.Instance) (volumes []*world.Volume) {
	for v := range r.Volumes.All(0) {
		if v.Attachment != nil && v.Attachment.Instance == i.ID {
			volumes = append(volumes, v)
		}
	}
	slices.SortFunc(volumes, func(a, b *world.Volume) int { return strings.Compare(a.Attachment.Device, b.Attachment.Device) })
	return volumes
}

// BadKey is what becomes of a copy whose key cannot be used.
const BadKey = "Given key ID is not accessible"

// KeyOf returns the ARN of a named key, or of the account's own, and what becomes of what is encrypted with it, if that fails: EC2 looks later.
func (r *Request) KeyOf(name string, encrypted bool) (arn, fails string) {
	if !encrypted {
		return "", ""
	}
	if name == "" {
		return r.OwnKey(), ""
	}
	k := r.FindKey(name)
	if k == nil {
		return name, BadKey
	}
	if k.Disabled || k.Pending {
		fails = BadKey
	}
	return r.ARN("kms", "key/"+k.ID), fails
}
