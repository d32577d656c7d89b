package volumes

import (
	"regexp"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

var deviceName = regexp.MustCompile(`^(/dev/)?(sd[a-z][1-9]?[0-9]?|xvd[a-z][a-z]?)$`)

type attachVolumeIn struct {
	call.Dry
	Device   string `q:"Device,required"`
	Instance string `q:"InstanceId,required"`
	Volume   string `q:"VolumeId,required"`
	Card     *int   `q:"EbsCardIndex"`
}

func attachVolume(r *call.Request, in attachVolumeIn) (any, error) {
	if err := call.CheckID("i", in.Instance); err != nil {
		return nil, err
	}
	if err := call.CheckID("vol", in.Volume); err != nil {
		return nil, err
	}
	if !deviceName.MatchString(in.Device) {
		return nil, query.Refuse("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", in.Device, in.Device)
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	v, err := r.Volume(in.Volume)
	if err != nil {
		return nil, err
	}
	i, err := r.Instance(in.Instance)
	if err != nil {
		return nil, err
	}
	if err := mayAttach(r, v, i, in.Device); err != nil {
		return nil, err
	}
	a := &world.Attachment{Volume: v.ID, Instance: i.ID, Device: in.Device, State: "attaching", Backing: v.Backing, Time: r.Now()}
	v.Attachment, v.State = a, "in-use"
	if r.OnAttach != nil {
		hook, told := r.OnAttach, *a
		r.Later(func() error { return hook(told) }, func(err error) {
			if err != nil {
				a.Stuck = true
			}
		})
	}
	return describeAttachment(*a), nil
}

func mayAttach(r *call.Request, v *world.Volume, i *world.Instance, device string) error {
	switch {
	case v.Attachment != nil:
		return query.Refuse("VolumeInUse", "%s is already attached to an instance", v.ID)
	case v.State != "available":
		return query.Refuse("IncorrectState", "Volume '%s' is in the '%s' state. It has to be 'available'.", v.ID, v.State)
	case i.State != "running" && i.State != "stopped":
		return query.Refuse("IncorrectState", "Instance '%s' is not 'running'.", i.ID)
	case v.Zone != i.Zone:
		return query.Refuse("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	}
	attached := r.Attached(i)
	for _, other := range attached {
		if other.Attachment.Device == device {
			return query.Refuse("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device)
		}
	}
	limit := i.MaxVolumes
	if limit == 0 {
		limit = 27
	}
	if len(attached) >= limit {
		return query.Refuse("AttachmentLimitExceeded", "The maximum number of attachments for instance '%s', %d, has been reached", i.ID, limit)
	}
	return nil
}

type detachVolumeIn struct {
	call.Dry
	Device   string `q:"Device"`
	Force    bool   `q:"Force"`
	Instance string `q:"InstanceId"`
	Volume   string `q:"VolumeId,required"`
}

func detachVolume(r *call.Request, in detachVolumeIn) (any, error) {
	if err := call.CheckID("vol", in.Volume); err != nil {
		return nil, err
	}
	if in.Instance != "" {
		if err := call.CheckID("i", in.Instance); err != nil {
			return nil, err
		}
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	v, err := r.Volume(in.Volume)
	if err != nil {
		return nil, err
	}
	a := v.Attachment
	switch {
	case a == nil:
		return nil, query.Refuse("IncorrectState", "Volume '%s' is in the '%s' state.", v.ID, v.State)
	case in.Instance != "" && in.Instance != a.Instance || in.Device != "" && in.Device != a.Device:
		return nil, query.Refuse("InvalidAttachment.NotFound", "The volume '%s' is not attached to instance '%s' as device '%s'.", v.ID, in.Instance, in.Device)
	}
	if i, err := r.Instance(a.Instance); err == nil && i.RootDevice == a.Device && i.State != "stopped" && i.State != "terminated" {
		return nil, query.Refuse("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s'", v.ID, i.ID)
	}
	if a.State != "detaching" {
		a.State = "detaching"
		detaching(r, a)
	}
	return describeAttachment(*a), nil
}

// detaching has the test take the device away; while it cannot, the attachment is busy.
func detaching(r *call.Request, a *world.Attachment) {
	if r.OnDetach == nil {
		return
	}
	hook, told := r.OnDetach, *a
	r.Later(func() error { return hook(told) }, func(err error) {
		if err != nil {
			a.State = "busy"
		}
	})
}
