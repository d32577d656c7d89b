// Package volumes has the operations of EC2 that make, attach, detach, list and delete volumes, and that list instances.
//
// The invariant is that of package ops: an operation that is refused has changed nothing.
package volumes

import (
	"encoding/json"
	"maps"
	"slices"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// Operations are those of volumes and of the instances that they are attached to.
var Operations = map[string]call.Operation{
	"AttachVolume": call.Of(attachVolume), "CreateVolume": call.Of(createVolume), "DeleteVolume": call.Of(deleteVolume), "DescribeInstances": call.Of(describeInstances),
	"DescribeVolumes": call.Of(describeVolumes), "DetachVolume": call.Of(detachVolume),
}

type createVolumeIn struct {
	call.Dry
	Zone       string                  `q:"AvailabilityZone"`
	ZoneID     string                  `q:"AvailabilityZoneId"`
	Token      string                  `q:"ClientToken"`
	Encrypted  *bool                   `q:"Encrypted"`
	IOPS       *int                    `q:"Iops"`
	KMSKey     string                  `q:"KmsKeyId"`
	Multi      bool                    `q:"MultiAttachEnabled"`
	GiB        *int                    `q:"Size"`
	Snapshot   string                  `q:"SnapshotId"`
	Tags       []call.TagSpecification `q:"TagSpecification"`
	Throughput *int                    `q:"Throughput"`
	InitRate   *int                    `q:"VolumeInitializationRate"`
	Type       string                  `q:"VolumeType"`
}

type attachmentOut struct {
	Volume   string     `xml:"volumeId"`
	Instance string     `xml:"instanceId"`
	Device   string     `xml:"device"`
	State    string     `xml:"status"`
	Time     query.Time `xml:"attachTime"`
	Delete   bool       `xml:"deleteOnTermination"`
}

type volumeOut struct {
	ID          string          `xml:"volumeId"`
	Zone        string          `xml:"availabilityZone"`
	ZoneID      string          `xml:"availabilityZoneId"`
	GiB         int             `xml:"size"`
	Snapshot    string          `xml:"snapshotId"`
	State       string          `xml:"status"`
	Created     query.Time      `xml:"createTime"`
	Attachments []attachmentOut `xml:"attachmentSet>item"`
	Type        string          `xml:"volumeType"`
	IOPS        int             `xml:"iops,omitempty"`
	Throughput  int             `xml:"throughput,omitempty"`
	InitRate    int             `xml:"volumeInitializationRate,omitempty"`
	Encrypted   bool            `xml:"encrypted"`
	KMSKey      string          `xml:"kmsKeyId,omitempty"`
	Multi       bool            `xml:"multiAttachEnabled"`
	Tags        []call.Tag      `xml:"tagSet>item"`
}

// kind is what a type of volumes allows.
type kind struct {
	least, most         int // GiB
	leastIOPS, mostIOPS int // 0: IOPS cannot be asked for
	iops                int // that it has if none are asked for; 0: they are required, if they can be
	ratio               int // IOPS per GiB
}

var kinds = map[string]kind{
	"gp2": {least: 1, most: 16384}, "gp3": {1, 65536, 3000, 80000, 3000, 500}, "io1": {4, 16384, 100, 64000, 0, 50}, "io2": {4, 65536, 100, 256000, 0, 1000},
	"st1": {least: 125, most: 16384}, "sc1": {least: 125, most: 16384}, "standard": {least: 1, most: 1024},
}

func checkVolume(r *call.Request, in *createVolumeIn) error {
	switch {
	case in.Zone == "" && in.ZoneID == "":
		return query.Refuse("MissingParameter", "The request must contain the parameter AvailabilityZone or AvailabilityZoneId")
	case in.Zone != "" && in.ZoneID != "":
		return query.Refuse("InvalidParameterCombination", "The parameters AvailabilityZone and AvailabilityZoneId cannot be used together")
	case in.ZoneID != "":
		n := slices.IndexFunc(r.Zones, func(z string) bool { return r.ZoneID(z) == in.ZoneID })
		if n < 0 {
			return query.Refuse("InvalidZone.NotFound", "The zone ID '%s' does not exist.", in.ZoneID)
		}
		in.Zone = r.Zones[n]
	case !r.HasZone(in.Zone):
		return query.Refuse("InvalidZone.NotFound", "The zone '%s' does not exist.", in.Zone)
	}
	if in.Type == "" {
		in.Type = "gp2"
	}
	if _, ok := kinds[in.Type]; !ok {
		return query.Refuse("UnknownVolumeType", "Unsupported volume type '%s' for volume creation.", in.Type)
	}
	if in.Snapshot == "" && in.GiB == nil {
		return query.Refuse("MissingParameter", "The request must contain the parameter size or snapshotId")
	}
	if in.Snapshot != "" {
		if err := call.CheckID("snap", in.Snapshot); err != nil {
			return err
		}
	}
	if in.InitRate != nil && (in.Snapshot == "" || *in.InitRate < 100 || *in.InitRate > 300) {
		return query.Refuse("InvalidParameterValue", "Value (%d) for parameter volumeInitializationRate is invalid. It must be between 100 and 300, for volumes from snapshots alone.", *in.InitRate)
	}
	if len(in.Token) > 64 {
		return query.Refuse("InvalidParameterValue", "Client tokens have up to 64 characters")
	}
	return nil
}

// checkSpeed refuses IOPS and throughput that a volume of that type and size cannot have, and sets those that it has if none are asked for.
func checkSpeed(in createVolumeIn, gib int) (iops, throughput int, err error) {
	k := kinds[in.Type]
	if gib < k.least || gib > k.most {
		return 0, 0, query.Refuse("InvalidParameterValue", "Volume of %dGiB is too small or too large for %s; it has to be between %dGiB and %dGiB.", gib, in.Type, k.least, k.most)
	}
	if in.Multi && in.Type != "io1" && in.Type != "io2" {
		return 0, 0, query.Refuse("InvalidParameterCombination", "The parameter MultiAttachEnabled is not supported for %s volumes", in.Type)
	}
	switch {
	case in.IOPS != nil && k.mostIOPS == 0:
		return 0, 0, query.Refuse("InvalidParameterCombination", "The parameter iops is not supported for %s volumes.", in.Type)
	case in.IOPS == nil && k.mostIOPS > 0 && k.iops == 0:
		return 0, 0, query.Refuse("MissingParameter", "The request must contain the parameter iops for %s volumes", in.Type)
	case in.IOPS != nil:
		iops = *in.IOPS
		if iops < k.leastIOPS || iops > k.mostIOPS {
			return 0, 0, query.Refuse("InvalidParameterValue", "Volume iops of %d is too low or too high; it has to be between %d and %d.", iops, k.leastIOPS, k.mostIOPS)
		}
		if iops > k.ratio*gib && iops > k.iops {
			return 0, 0, query.Refuse("InvalidParameterValue", "Iops to volume size ratio of %d is too high; maximum is %d IOPS per GiB.", iops/gib, k.ratio)
		}
	case in.Type == "gp2":
		iops = min(max(100, 3*gib), 16000)
	default:
		iops = k.iops
	}
	if in.Type != "gp3" {
		if in.Throughput != nil {
			return 0, 0, query.Refuse("InvalidParameterCombination", "The parameter throughput is not supported for %s volumes.", in.Type)
		}
		return iops, 0, nil
	}
	throughput = 125
	if in.Throughput != nil {
		throughput = *in.Throughput
	}
	if throughput < 125 || throughput > 2000 {
		return 0, 0, query.Refuse("InvalidParameterValue", "Throughput of %d MiBps is too low or too high; it has to be between 125 and 2000.", throughput)
	}
	if throughput*4 > iops {
		return 0, 0, query.Refuse("InvalidParameterValue", "Throughput (MiBps) to iops ratio of %.2f is too high; maximum is 0.25 MiBps per iops.", float64(throughput)/float64(iops))
	}
	return iops, throughput, nil
}

func createVolume(r *call.Request, in createVolumeIn) (any, error) {
	tags, err := call.Specified(in.Tags, "volume")
	if err != nil {
		return nil, err
	}
	if err := checkVolume(r, &in); err != nil {
		return nil, err
	}
	if err := r.May(call.NeedsTagging(in.Tags)...); err != nil {
		return nil, err
	}
	parameters, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if before, ok := r.Tokens[in.Token]; ok && in.Token != "" {
		if before.Parameters != string(parameters) {
			return nil, query.Refuse("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		}
		if v, ok := r.Volumes.Get(before.Volume); ok {
			return describeVolume(v, v.Tags), nil
		}
		return before.Answer, nil
	}
	v, err := newVolume(r, in)
	if err != nil {
		return nil, err
	}
	r.Make(&v.Meta, "vol", tags)
	r.Volumes.Add(v)
	out := describeVolume(v, tags)
	if in.Token != "" {
		r.Tokens[in.Token] = world.Replay{Volume: v.ID, Parameters: string(parameters), Answer: out}
	}
	return out, nil
}

func newVolume(r *call.Request, in createVolumeIn) (*world.Volume, error) {
	v := &world.Volume{Zone: in.Zone, Type: in.Type, Created: r.Now(), State: "creating", Snapshot: in.Snapshot, Encrypted: in.Encrypted != nil && *in.Encrypted || r.Encrypt[r.Name]}
	file := ""
	if in.Snapshot != "" {
		s, err := r.Snapshot(in.Snapshot)
		if err != nil {
			return nil, err
		}
		if s.State != "completed" {
			return nil, query.Refuse("IncorrectState", "Snapshot is in invalid state - %s", s.State)
		}
		if s.Archived && s.TierStatus != "temporary-restore-completed" {
			return nil, query.Refuse("IncorrectState", "Snapshot %s is in the archive tier", s.ID)
		}
		v.GiB, v.Encrypted, file, v.Lineage = s.GiB, v.Encrypted || s.Encrypted, s.File, s.Lineage
		if in.KMSKey == "" && s.Encrypted {
			in.KMSKey = s.KMSKey
		}
		if in.GiB != nil && *in.GiB < s.GiB {
			return nil, query.Refuse("InvalidParameterValue", "Volume of %dGiB is smaller than snapshot '%s', expect size>= %dGiB", *in.GiB, s.ID, s.GiB)
		}
	}
	if in.GiB != nil {
		v.GiB = *in.GiB
	}
	if in.InitRate != nil {
		v.InitRate = *in.InitRate
	}
	if in.KMSKey != "" && !v.Encrypted {
		return nil, query.Refuse("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	var err error
	if v.IOPS, v.Throughput, err = checkSpeed(in, v.GiB); err != nil {
		return nil, err
	}
	if slices.Contains(r.Without[v.Zone], v.Type) {
		return nil, query.Refuse("VolumeTypeNotAvailableInZone", "The specified Availability Zone does not support %s volumes.", v.Type)
	}
	if limit := r.VolumeQuota; limit > 0 && r.Volumes.Len() >= limit {
		return nil, query.Refuse("VolumeLimitExceeded", "Maximum number of volumes exceeded: %d", limit)
	}
	v.KMSKey, v.Fails = r.KeyOf(in.KMSKey, v.Encrypted)
	v.Backing = r.File("volume")
	return v, world.Copy(file, v.Backing, v.GiB)
}

func describeVolume(v *world.Volume, tags map[string]string) volumeOut {
	out := volumeOut{
		ID: v.ID, Zone: v.Zone, GiB: v.GiB, Snapshot: v.Snapshot, State: v.State, Created: query.Time{Time: v.Created}, Type: v.Type, IOPS: v.IOPS,
		Throughput: v.Throughput, InitRate: v.InitRate, Encrypted: v.Encrypted, KMSKey: v.KMSKey, Tags: call.TagSet(tags),
	}
	if v.Attachment != nil {
		out.Attachments = []attachmentOut{describeAttachment(*v.Attachment)}
	}
	return out
}

func describeAttachment(a world.Attachment) attachmentOut {
	return attachmentOut{a.Volume, a.Instance, a.Device, a.State, query.Time{Time: a.Time}, a.DeleteOnTermination}
}

type describeVolumesIn struct {
	call.Dry
	call.Paging
	Filters []call.Filter `q:"Filter"`
	IDs     []string      `q:"VolumeId"`
	Managed bool          `q:"IncludeManagedResources"`
}

type describeVolumesOut struct {
	Volumes []volumeOut `xml:"volumeSet>item"`
	Next    string      `xml:"nextToken,omitempty"`
}

func volumeFields(r *call.Request) call.Fields[*world.Volume] {
	attachment := func(get func(*world.Attachment) []string) func(*world.Volume) []string {
		return func(v *world.Volume) []string {
			if v.Attachment == nil {
				return nil
			}
			return get(v.Attachment)
		}
	}
	return call.Fields[*world.Volume]{
		"attachment.attach-time":           attachment(func(a *world.Attachment) []string { return call.When(a.Time) }),
		"attachment.delete-on-termination": attachment(func(a *world.Attachment) []string { return call.Truth(a.DeleteOnTermination) }),
		"attachment.device":                attachment(func(a *world.Attachment) []string { return call.One(a.Device) }),
		"attachment.instance-id":           attachment(func(a *world.Attachment) []string { return call.One(a.Instance) }),
		"attachment.status":                attachment(func(a *world.Attachment) []string { return call.One(a.State) }),
		"availability-zone":                func(v *world.Volume) []string { return call.One(v.Zone) },
		"availability-zone-id":             func(v *world.Volume) []string { return call.One(r.ZoneID(v.Zone)) },
		"create-time":                      func(v *world.Volume) []string { return call.When(v.Created) },
		"encrypted":                        func(v *world.Volume) []string { return call.Truth(v.Encrypted) },
		"fast-restored":                    func(*world.Volume) []string { return call.Truth(false) },
		"multi-attach-enabled":             func(*world.Volume) []string { return call.Truth(false) },
		"operator.managed":                 func(*world.Volume) []string { return call.Truth(false) },
		"operator.principal":               nil,
		"size":                             func(v *world.Volume) []string { return call.Number(v.GiB) },
		"snapshot-id":                      func(v *world.Volume) []string { return call.One(v.Snapshot) },
		"status":                           func(v *world.Volume) []string { return call.One(v.State) },
		"volume-id":                        func(v *world.Volume) []string { return call.One(v.ID) },
		"volume-type":                      func(v *world.Volume) []string { return call.One(v.Type) },
	}
}

func describeVolumes(r *call.Request, in describeVolumesIn) (any, error) {
	if err := call.CheckIDs("vol", in.IDs); err != nil {
		return nil, err
	}
	known := volumeFields(r)
	if err := known.Check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("volumeId", in.Filters, len(in.IDs), 5, true)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		v, err := r.Volume(id)
		if err != nil {
			return nil, err
		}
		if !v.Seen() {
			return nil, query.Refuse("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
		}
	}
	out := describeVolumesOut{}
	var shown []*world.Volume
	out.Next = call.Paged(r, pg, r.Volumes.Of(in.IDs, pg.After), func(v *world.Volume) uint64 { return v.Ordinal }, func(v *world.Volume) bool {
		return known.Match(v, v.Shown(), in.Filters) && (len(in.IDs) > 0 || v.Seen())
	}, func(v *world.Volume) { shown = append(shown, v) })
	for _, v := range shown { // after the listing, which they may leave
		r.DescribeVolume(v)
		o := describeVolume(v, maps.Clone(v.SeenTags()))
		o.ZoneID = r.ZoneID(v.Zone)
		out.Volumes = append(out.Volumes, o)
	}
	return out, nil
}

type deleteVolumeIn struct {
	call.Dry
	ID string `q:"VolumeId,required"`
}

func deleteVolume(r *call.Request, in deleteVolumeIn) (any, error) {
	if err := call.CheckID("vol", in.ID); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	v, err := r.Volume(in.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case v.Attachment != nil:
		return nil, query.Refuse("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.Attachment.Instance)
	case v.State != "available" && v.State != "error":
		return nil, query.Refuse("IncorrectState", "The volume '%s' is '%s'", v.ID, v.State)
	}
	v.State = "deleting"
	r.Remove(v.Backing)
	return call.Done{Return: true}, nil
}
