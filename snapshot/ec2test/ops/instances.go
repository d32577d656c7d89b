package ops

import (
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type describeInstancesIn struct {
	dry
	paging
	Filters []filter `q:"Filter"`
	IDs     []string `q:"InstanceId"`
	Managed bool     `q:"IncludeManagedResources"`
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
	Tags         []Tag           `xml:"tagSet>item"`
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

func (r *Request) instanceFields() fields[*world.Instance] {
	devices := func(get func(*world.Attachment) []string) func(*world.Instance) []string {
		return func(i *world.Instance) (values []string) {
			for _, v := range r.attached(i) {
				values = append(values, get(v.Attachment)...)
			}
			return values
		}
	}
	return fields[*world.Instance]{
		"architecture":                               func(*world.Instance) []string { return one("x86_64") },
		"availability-zone":                          func(i *world.Instance) []string { return one(i.Zone) },
		"availability-zone-id":                       func(i *world.Instance) []string { return one(r.ZoneID(i.Zone)) },
		"block-device-mapping.attach-time":           devices(func(a *world.Attachment) []string { return when(a.Time) }),
		"block-device-mapping.delete-on-termination": devices(func(a *world.Attachment) []string { return truth(a.DeleteOnTermination) }),
		"block-device-mapping.device-name":           devices(func(a *world.Attachment) []string { return one(a.Device) }),
		"block-device-mapping.status":                devices(func(a *world.Attachment) []string { return one(a.State) }),
		"block-device-mapping.volume-id":             devices(func(a *world.Attachment) []string { return one(a.Volume) }),
		"image-id":                                   func(i *world.Instance) []string { return one(i.Image) },
		"instance-id":                                func(i *world.Instance) []string { return one(i.ID) },
		"instance-state-code":                        func(i *world.Instance) []string { return number(stateCodes[i.State]) },
		"instance-state-name":                        func(i *world.Instance) []string { return one(i.State) },
		"instance-type":                              func(i *world.Instance) []string { return one(i.Type) },
		"launch-time":                                func(i *world.Instance) []string { return when(i.Launched) },
		"owner-id":                                   func(*world.Instance) []string { return one(world.Account) },
		"root-device-name":                           func(i *world.Instance) []string { return one(i.RootDevice) },
		"root-device-type":                           func(*world.Instance) []string { return one("ebs") },
		"private-dns-name":                           nil, "private-ip-address": nil, "vpc-id": nil, "subnet-id": nil, "platform": nil, "instance-lifecycle": nil,
	}
}

func describeInstances(r *Request, in describeInstancesIn) (any, error) {
	if err := checkIDs("i", in.IDs); err != nil {
		return nil, err
	}
	known := r.instanceFields()
	if err := known.check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.page("instanceId", in.Filters, len(in.IDs), 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, err := r.instance(id); err != nil {
			return nil, err
		}
	}
	out := describeInstancesOut{}
	out.Next = take(r, pg, r.Instances.Of(in.IDs, pg.after), func(i *world.Instance) uint64 { return i.Ordinal }, func(i *world.Instance) bool {
		return known.match(i, i.Shown(), in.Filters)
	}, func(i *world.Instance) {
		out.Reservations = append(out.Reservations, reservation{ID: "r-" + i.ID[2:], Owner: world.Account, Instances: []instanceOut{r.describeInstance(i)}})
	})
	return out, nil
}

func (r *Request) describeInstance(i *world.Instance) instanceOut {
	o := instanceOut{
		ID: i.ID, Image: i.Image, State: instanceState{stateCodes[i.State], i.State}, Type: i.Type, Launched: query.Time{Time: i.Launched},
		Placement: placement{i.Zone, r.ZoneID(i.Zone)}, RootDevice: i.RootDevice, RootType: "ebs", Architecture: "x86_64", Tags: tagSet(i.SeenTags()),
	}
	if i.Profile != "" {
		o.Profile = &profile{"arn:aws:iam::" + world.Account + ":instance-profile/" + i.Profile, "AIPA" + i.Profile}
	}
	for _, v := range r.attached(i) {
		if r.DescribeAttachment(v); v.Attachment == nil {
			continue
		}
		a := v.Attachment
		o.Devices = append(o.Devices, deviceMapping{a.Device, instanceEBS{v.ID, a.State, query.Time{Time: a.Time}, a.DeleteOnTermination}})
	}
	return o
}
