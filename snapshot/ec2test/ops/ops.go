// Package ops has the operations of EC2 that the test server knows, with EC2's rules and refusals.
//
// The invariant: an operation that is refused has changed nothing; and each says what it needs permission for before it does anything.
package ops

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// A Request is one call. The world's lock is held.
type Request struct {
	*world.Region
	Operation string
	DryRun    bool
	Denied    func(action string) bool
	Verify    func(presigned string) (region string, form url.Values, err error) // of a URL that stands for a call
}

// dry is part of each operation's parameters.
type dry struct {
	DryRun bool `q:"DryRun"`
}

func (d dry) dryRun() bool { return d.DryRun }

type operation struct {
	decode func(url.Values) (any, error)
	run    func(*Request, any) (any, error)
}

func of[T interface{ dryRun() bool }](f func(*Request, T) (any, error)) operation {
	return operation{
		decode: func(form url.Values) (any, error) {
			var in T
			err := query.Decode(form, &in)
			return in, err
		},
		run: func(r *Request, in any) (any, error) {
			r.DryRun = in.(T).dryRun()
			return f(r, in.(T))
		},
	}
}

var operations = map[string]operation{
	"AttachVolume": of(attachVolume), "CopySnapshot": of(copySnapshot), "CreateSnapshot": of(createSnapshot), "CreateSnapshots": of(createSnapshots),
	"CreateTags": of(createTags), "CreateVolume": of(createVolume), "DeleteSnapshot": of(deleteSnapshot), "DeleteTags": of(deleteTags),
	"DeleteVolume": of(deleteVolume), "DescribeAvailabilityZones": of(describeZones), "DescribeInstances": of(describeInstances),
	"DescribeRegions": of(describeRegions), "DescribeSnapshots": of(describeSnapshots), "DescribeTags": of(describeTags),
	"DescribeVolumes": of(describeVolumes), "DetachVolume": of(detachVolume),
	"DescribeImages": of(describeImages), "DescribeLockedSnapshots": of(describeLockedSnapshots), "DescribeSnapshotTierStatus": of(describeSnapshotTierStatus),
	"GetSnapshotBlockPublicAccessState": of(getSnapshotBlockPublicAccessState), "ListSnapshotsInRecycleBin": of(listSnapshotsInRecycleBin),
	"LockSnapshot": of(lockSnapshot), "ModifySnapshotTier": of(modifySnapshotTier), "RestoreSnapshotFromRecycleBin": of(restoreSnapshotFromRecycleBin),
	"RestoreSnapshotTier": of(restoreSnapshotTier), "UnlockSnapshot": of(unlockSnapshot),
}

// Known lists the operations.
func Known() []string {
	var names []string
	for name := range operations {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Run makes a call, and returns what its answer is made of.
func Run(r *Request, form url.Values) (any, error) {
	if v := form.Get("Version"); v != query.Version {
		return nil, query.Refuse("NoSuchVersion", "The requested version (%s) of service AmazonEC2 is not known", v)
	}
	op, ok := operations[r.Operation]
	if !ok {
		return nil, query.Refuse("InvalidAction", "The action %s is not valid for this web service.", r.Operation)
	}
	in, err := op.decode(form)
	if err != nil {
		return nil, err
	}
	return op.run(r, in)
}

// May refuses what the caller is not permitted, and what was only asked for. More actions are those that the parameters need besides.
func (r *Request) May(more ...string) error {
	for _, action := range append([]string{"ec2:" + r.Operation}, more...) {
		if r.Denied(action) {
			return &query.Error{Status: 403, Code: "UnauthorizedOperation", Message: fmt.Sprintf("You are not authorized to perform this operation. User: arn:aws:iam::%s:user/nightjar is not authorized to perform: %s because no identity-based policy allows the %s action.", world.Account, action, action)}
		}
	}
	if r.DryRun {
		return &query.Error{Status: 412, Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set."}
	}
	return nil
}

var hexID = regexp.MustCompile(`^[0-9a-f]{8}([0-9a-f]{9})?$`)

// checkID refuses an ID that cannot be one.
func checkID(kind, id string) error {
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

func checkIDs(kind string, ids []string) error {
	for _, id := range ids {
		if err := checkID(kind, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) volume(id string) (*world.Volume, error) {
	v, ok := r.Volumes.Get(id)
	if !ok {
		return nil, query.Refuse("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
	}
	return v, nil
}

func (r *Request) instance(id string) (*world.Instance, error) {
	i, ok := r.Instances.Get(id)
	if !ok {
		return nil, query.Refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	return i, nil
}

func notFound(id string) error {
	return query.Refuse("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
}

// snapshot returns one that the caller may see.
func (r *Request) snapshot(id string) (*world.Snapshot, error) {
	s, ok := r.Snapshots.Get(id)
	if !ok || !visible(s) {
		return nil, notFound(id)
	}
	return s, nil
}

// own returns a snapshot that is the caller's.
func (r *Request) own(id string) (*world.Snapshot, error) {
	s, err := r.snapshot(id)
	if err == nil && s.Owner != world.Account {
		return nil, &query.Error{Status: 403, Code: "AuthFailure", Message: "Not authorized for resource: " + id}
	}
	return s, err
}

func visible(s *world.Snapshot) bool {
	return s.Owner == world.Account || s.Public || slices.Contains(s.SharedWith, world.Account)
}
