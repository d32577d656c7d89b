package volumes

import (
	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type describeInstancesIn struct {
	call.Dry
	call.Paging
	Filters []call.Filter `q:"Filter"`
	IDs     []string      `q:"InstanceId"`
	Managed bool          `q:"IncludeManagedResources"`
}

type instanceState struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type placement struct {
	Zone   string `xml:"availabilityZone"`
	ZoneID string `xml:"availabilityZoneId"`
}

type instanceEBS struct {
	Volume string     `xml:"volumeId"`
	State  string     `xml:"status"`
	Time   query.Time `xml:"attachTime"`
	Delete bool       `xml:"deleteOnTermination"`
}

type deviceMapping struct {
	Device string      `xml:"deviceName"`
	EBS    instanceEBS `xml:"ebs"`
}

type profile struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

type instanceOut struct {
	ID           string          `xml:"instanceId"`
	Image        string          `xml:"imageId"`
	State        instanceState   `xml:"instanceState"`
	Type         string          `xml:"instanceType"`
	Launched     query.Time      `xml:"launchTime"`
	Placement    placement       `xml:"placement"`
	RootDevice   string          `xml:"rootDeviceName"`
	RootType     string          `xml:"rootDeviceType"`
	Architecture string          `xml:"architecture"`
	Devices      []deviceMapping `xml:"blockDeviceMapping>item"`
	Profile      *profile        `xml:"iamInstanceProfile"`
	Tags         []call.Tag      `xml:"tagSet>item"`
}

type reservation struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Instances []instanceOut `xml:"instancesSet>item"`
}

type describeInstancesOut struct {
	Reservations []reservation `xml:"reservationSet>item"`
	Next         string        `xml:"nextToken,omitempty"`
}

var stateCodes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

func instanceFields(r *call.Request) call.Fields[*world.Instance] {
	devices := func(get func(*world.Attachment) []string) func(*world.Instance) []string {
		return func(i *world.Instance) (values []string) {
			for _, v := range r.Attached(i) {
				values = append(values, get(v.Attachment)...)
			}
			return values
		}
	}
	return call.Fields[*world.Instance]{
		"architecture":                               func(*world.Instance) []string { return call.One("x86_64") },
		"availability-zone":                          func(i *world.Instance) []string { return call.One(i.Zone) },
		"availability-zone-id":                       func(i *world.Instance) []string { return call.One(r.ZoneID(i.Zone)) },
		"block-device-mapping.attach-time":           devices(func(a *world.Attachment) []string { return call.When(a.Time) }),
		"block-device-mapping.delete-on-termination": devices(func(a *world.Attachment) []string { return call.Truth(a.DeleteOnTermination) }),
		"block-device-mapping.device-name":           devices(func(a *world.Attachment) []string { return call.One(a.Device) }),
		"block-device-mapping.status":                devices(func(a *world.Attachment) []string { return call.One(a.State) }),
		"block-device-mapping.volume-id":             devices(func(a *world.Attachment) []string { return call.One(a.Volume) }),
		"image-id":                                   func(i *world.Instance) []string { return call.One(i.Image) },
		"instance-id":                                func(i *world.Instance) []string { return call.One(i.ID) },
		"instance-state-code":                        func(i *world.Instance) []string { return call.Number(stateCodes[i.State]) },
		"instance-state-name":                        func(i *world.Instance) []string { return call.One(i.State) },
		"instance-type":                              func(i *world.Instance) []string { return call.One(i.Type) },
		"launch-time":                                func(i *world.Instance) []string { return call.When(i.Launched) },
		"owner-id":                                   func(*world.Instance) []string { return call.One(world.Account) },
		"root-device-name":                           func(i *world.Instance) []string { return call.One(i.RootDevice) },
		"root-device-type":                           func(*world.Instance) []string { return call.One("ebs") },
		"private-dns-name":                           nil, "private-ip-address": nil, "vpc-id": nil, "subnet-id": nil, "platform": nil, "instance-lifecycle": nil,
	}
}

func describeInstances(r *call.Request, in describeInstancesIn) (any, error) {
	if err := call.CheckIDs("i", in.IDs); err != nil {
		return nil, err
	}
	known := instanceFields(r)
	if err := known.Check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("instanceId", in.Filters, len(in.IDs), 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, err := r.Instance(id); err != nil {
			return nil, err
		}
	}
	out := describeInstancesOut{}
	out.Next = call.Paged(r, pg, r.Instances.Of(in.IDs, pg.After), func(i *world.Instance) uint64 { return i.Ordinal }, func(i *world.Instance) bool {
		return known.Match(i, i.Shown(), in.Filters)
	}, func(i *world.Instance) {
		out.Reservations = append(out.Reservations, reservation{ID: "r-" + i.ID[2:], Owner: world.Account, Instances: []instanceOut{describeInstance(r, i)}})
	})
	return out, nil
}

func describeInstance(r *call.Request, i *world.Instance) instanceOut {
	o := instanceOut{
		ID: i.ID, Image: i.Image, State: instanceState{stateCodes[i.State], i.State}, Type: i.Type, Launched: query.Time{Time: i.Launched},
		Placement: placement{i.Zone, r.ZoneID(i.Zone)}, RootDevice: i.RootDevice, RootType: "ebs", Architecture: "x86_64", Tags: call.TagSet(i.SeenTags()),
	}
	if i.Profile != "" {
		o.Profile = &profile{"arn:aws:iam::" + world.Account + ":instance-profile/" + i.Profile, "AIPA" + i.Profile}
	}
	for _, v := range r.Attached(i) {
		if r.DescribeAttachment(v); v.Attachment == nil {
			continue
		}
		a := v.Attachment
		o.Devices = append(o.Devices, deviceMapping{a.Device, instanceEBS{v.ID, a.State, query.Time{Time: a.Time}, a.DeleteOnTermination}})
	}
	return o
}
