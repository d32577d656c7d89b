package bring

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot/cloud"
)

// A Target is an instance that volumes are attached to.
type Target struct {
	ID, Zone string
	used     []string // device names
}

// Find returns an instance that takes volumes. The error is ErrInstance if it is not running.
func Find(ctx context.Context, c *cloud.Cloud, instance string) (Target, error) {
	out, err := c.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
	if err != nil {
		return Target{}, fmt.Errorf("find instance %.40s in %s: %w", instance, c.Region, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if aws.ToString(i.InstanceId) != instance {
				continue
			}
			t := Target{ID: instance}
			if i.Placement != nil {
				t.Zone = aws.ToString(i.Placement.AvailabilityZone)
			}
			for _, m := range i.BlockDeviceMappings {
				t.used = append(t.used, aws.ToString(m.DeviceName))
			}
			if i.State == nil || i.State.Name != types.InstanceStateNameRunning {
				state := "in no state"
				if i.State != nil {
					state = string(i.State.Name)
				}
				return t, fmt.Errorf("attach to %s: %w: it is %s", instance, ErrInstance, state)
			}
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("find instance %.40s in %s: EC2 does not show it", instance, c.Region)
}

var isDevice = regexp.MustCompile(`^/dev/(sd[b-z]|xvd[b-z]|xvd[b-d][a-z])$`)

// CheckDevice returns an error unless a name is one that EC2 takes for volumes that are not the root.
func CheckDevice(name string) error {
	if !isDevice.MatchString(name) {
		return fmt.Errorf("device name %.40q: it has to be one as /dev/sdf, /dev/xvdf or /dev/xvdba", name)
	}
	return nil
}

// free returns a device name that nothing is attached under: /dev/sdf to /dev/sdp, as EC2 recommends, then /dev/xvdba on.
func (t *Target) free() (string, error) {
	var names []string
	for c := 'f'; c <= 'p'; c++ {
		names = append(names, "/dev/sd"+string(c))
	}
	for _, first := range "bcd" {
		for c := 'a'; c <= 'z'; c++ {
			names = append(names, "/dev/xvd"+string(first)+string(c))
		}
	}
	for _, name := range names {
		if !t.has(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("attach to %s: %w", t.ID, ErrNoName)
}

// has reports whether a name is used, by whichever of its two forms: Xen makes xvdf of sdf.
func (t *Target) has(name string) bool {
	bare := func(s string) string {
		s = strings.TrimPrefix(s, "/dev/")
		return strings.TrimPrefix(strings.TrimPrefix(s, "xvd"), "sd")
	}
	return slices.ContainsFunc(t.used, func(u string) bool { return bare(u) == bare(name) })
}

// Attach attaches the volumes of all parts to a target, but for those that are, and waits until they are.
func Attach(ctx context.Context, c *cloud.Cloud, t Target, parts []Part, o Options) error {
	o = o.complete()
	at, err := describe(ctx, c, parts)
	if err != nil {
		return err
	}
	if err := t.name(parts, at, &o); err != nil {
		return err
	}
	for i := range parts {
		p := &parts[i]
		if here, err := attachment(at[p.New], t.ID); err != nil {
			return err
		} else if here == nil {
			if err := attach(ctx, c, &t, p); err != nil {
				return err
			}
			o.Told(fmt.Sprintf("attaching %s to %s as %s", p.New, t.ID, p.Name))
		} else {
			p.Name = aws.ToString(here.Device)
			o.Told(fmt.Sprintf("%s is attached to %s already, as %s", p.New, t.ID, p.Name))
		}
		if !o.Together {
			if err := attached(ctx, c, t.ID, parts[i:i+1], &o); err != nil {
				return err
			}
		}
	}
	return attached(ctx, c, t.ID, parts, &o)
}

// name gives each part that is not attached the device name that it will be attached under, before anything is.
func (t *Target) name(parts []Part, at map[string]types.Volume, o *Options) error {
	for i, name := range o.Devices {
		switch err := CheckDevice(name); {
		case err != nil:
			return err
		case i >= len(parts):
			return fmt.Errorf("device name %s: there are only %d volumes", name, len(parts))
		case slices.Contains(o.Devices[:i], name):
			return fmt.Errorf("device name %s: it is given twice", name)
		}
	}
	for i := range parts {
		p := &parts[i]
		here, err := attachment(at[p.New], t.ID)
		switch {
		case err != nil:
			return err
		case here != nil:
			continue
		case i < len(o.Devices):
			if p.Name = o.Devices[i]; t.has(p.Name) {
				return fmt.Errorf("attach %s to %s: device name %s is in use there", p.New, t.ID, p.Name)
			}
		default:
			if p.Name, err = t.free(); err != nil {
				return err
			}
		}
		t.used = append(t.used, p.Name)
	}
	return nil
}

// attachment returns how a volume is attached to an instance; nil: not at all. The error is ErrElsewhere if it is attached to another.
func attachment(v types.Volume, instance string) (*types.VolumeAttachment, error) {
	for _, a := range v.Attachments {
		switch {
		case a.State == types.VolumeAttachmentStateDetached:
		case aws.ToString(a.InstanceId) == instance && a.State != types.VolumeAttachmentStateDetaching:
			return &a, nil
		default:
			return nil, fmt.Errorf("attach %s to %s: %w: to %s as %s (%s)", aws.ToString(v.VolumeId), instance, ErrElsewhere, aws.ToString(a.InstanceId), aws.ToString(a.Device), a.State)
		}
	}
	return nil, nil
}

// nameTries is how many names are tried of which EC2 says that they are in use.
const nameTries = 5

func attach(ctx context.Context, c *cloud.Cloud, t *Target, p *Part) error {
	for try := 1; ; try++ {
		_, err := c.EC2.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: aws.String(p.New), InstanceId: aws.String(t.ID), Device: aws.String(p.Name)})
		switch code := cloud.Code(err); {
		case err == nil:
			return nil
		case code == "VolumeInUse": // an answer that was lost: what it is attached to, attached says
			return nil
		case code == "AttachmentLimitExceeded":
			return fmt.Errorf("attach %s to %s as %s: %w: %w", p.New, t.ID, p.Name, ErrNoName, err)
		case code != "InvalidParameterValue" || !strings.Contains(err.Error(), "already in use") || try == nameTries:
			return fmt.Errorf("attach %s to %s as %s: %w", p.New, t.ID, p.Name, err)
		}
		t.used = append(t.used, p.Name) // by what nobody has described
		if p.Name, err = t.free(); err != nil {
			return err
		}
	}
}

// attached waits until volumes are attached to an instance.
func attached(ctx context.Context, c *cloud.Cloud, instance string, parts []Part, o *Options) error {
	return o.await(ctx, "wait until the volumes are attached", func() (bool, string, error) {
		at, err := describe(ctx, c, parts)
		if err != nil {
			return false, "", err
		}
		for i := range parts {
			p := &parts[i]
			a, err := attachment(at[p.New], instance)
			if err != nil {
				return false, "", err
			}
			if a == nil || a.State != types.VolumeAttachmentStateAttached {
				state := "not attached yet"
				if a != nil {
					state = string(a.State)
				}
				if _, err := Find(ctx, c, instance); err != nil { // it may end meanwhile
					return false, "", err
				}
				return false, p.New + " is " + state, nil
			}
			p.Name = aws.ToString(a.Device)
		}
		return true, "", nil
	})
}
