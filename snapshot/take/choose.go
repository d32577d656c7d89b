package take

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// maxExclusions is how many data volumes one call may leave out.
const maxExclusions = 40

var (
	// ErrUnknown says that the region has no such instance or volume.
	ErrUnknown = errors.New("it is not in this region")
	// ErrEnding says that an instance is going away, or gone.
	ErrEnding = errors.New("the instance is ending")
	// ErrNothing says that no volume was chosen.
	ErrNothing = errors.New("there is no volume to take")
)

// A Choice says which volumes to take: those of an instance, those by their IDs, or those with all of the tags. An instance beside IDs or tags
// takes those of its volumes alone.
type Choice struct {
	Instance string
	Volumes  []string
	Tags     map[string]string // keys and values, in which EC2 takes * and ? for patterns
	Boot     bool              // an instance's root volume too; those by ID or tag are taken without it
	Exclude  []string          // volumes that are left out
}

// A Plan is what to take, and in which calls.
type Plan struct {
	Instance string // that all volumes are attached to; empty: there is no such
	Host     string // the instance's tag Name, or its ID
	Volumes  []snapshot.Volume
	calls    []call
}

// Together reports whether one call takes all.
func (p *Plan) Together() bool { return len(p.calls) == 1 }

// A call takes one volume, or those of an instance.
type call struct {
	volumes  []string
	instance string // empty: of the one volume
	noBoot   bool
	exclude  []string
}

// Choose looks the volumes up.
func Choose(ctx context.Context, c *cloud.Cloud, choice Choice) (*Plan, error) {
	instances := map[string]types.Instance{}
	var all []types.Volume
	var err error
	if choice.Instance != "" {
		if instances, err = describeInstances(ctx, c, choice.Instance); err != nil {
			return nil, err
		}
		all, err = describeVolumes(ctx, c, choice, attachedTo(instances[choice.Instance]))
	} else if len(choice.Volumes) > 0 || len(choice.Tags) > 0 {
		all, err = describeVolumes(ctx, c, choice, nil)
	} else {
		return nil, errors.New("choose volumes: neither an instance nor volumes nor tags are named")
	}
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(v types.Volume) bool { return slices.Contains(choice.Exclude, aws.ToString(v.VolumeId)) })
	if choice.Instance == "" {
		if instances, err = describeInstances(ctx, c, holders(all)...); err != nil {
			return nil, err
		}
	}
	byHand := len(choice.Volumes) > 0 || len(choice.Tags) > 0
	if all = slices.DeleteFunc(all, func(v types.Volume) bool {
		return !choice.Boot && !byHand && isBoot(instances[choice.Instance], aws.ToString(v.VolumeId))
	}); len(all) == 0 {
		return nil, fmt.Errorf("choose volumes: %w", ErrNothing)
	}
	return newPlan(all, instances)
}

func describeInstances(ctx context.Context, c *cloud.Cloud, ids ...string) (map[string]types.Instance, error) {
	of := map[string]types.Instance{}
	if len(ids) == 0 {
		return of, nil
	}
	pages := ec2.NewDescribeInstancesPaginator(c.EC2, &ec2.DescribeInstancesInput{InstanceIds: ids})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, unknown(fmt.Errorf("look instances up in %s: %w", c.Region, err))
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				id := aws.ToString(i.InstanceId)
				if s := i.State; s != nil && (s.Name == types.InstanceStateNameTerminated || s.Name == types.InstanceStateNameShuttingDown) {
					return nil, fmt.Errorf("look instance %s up: it is %s: %w", id, s.Name, ErrEnding)
				}
				of[id] = i
			}
		}
	}
	for _, id := range ids {
		if _, ok := of[id]; !ok {
			return nil, fmt.Errorf("look instance %q up in %s: %w", id, c.Region, ErrUnknown)
		}
	}
	return of, nil
}

// unknown makes EC2's codes for what is not there ErrUnknown.
func unknown(err error) error {
	switch cloud.Code(err) {
	case "InvalidInstanceID.NotFound", "InvalidVolume.NotFound":
		return fmt.Errorf("%w: %w", err, ErrUnknown)
	}
	return err
}

func describeVolumes(ctx context.Context, c *cloud.Cloud, choice Choice, of []string) ([]types.Volume, error) {
	in := &ec2.DescribeVolumesInput{}
	switch {
	case len(choice.Volumes) > 0:
		in.VolumeIds = slices.Compact(slices.Sorted(slices.Values(choice.Volumes)))
	case of != nil && len(of) == 0:
		return nil, nil
	case of != nil:
		in.VolumeIds = of
	}
	for _, key := range slices.Sorted(maps.Keys(choice.Tags)) {
		in.Filters = append(in.Filters, types.Filter{Name: aws.String("tag:" + key), Values: []string{choice.Tags[key]}})
	}
	var all []types.Volume
	pages := ec2.NewDescribeVolumesPaginator(c.EC2, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, unknown(fmt.Errorf("look volumes up in %s: %w", c.Region, err))
		}
		all = append(all, page.Volumes...)
	}
	for _, v := range all {
		if id := aws.ToString(v.VolumeId); of != nil && !slices.Contains(of, id) {
			return nil, fmt.Errorf("look volumes up: %s is not attached to %s", id, choice.Instance)
		}
	}
	return all, nil
}

func attachedTo(i types.Instance) []string {
	of := []string{}
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			of = append(of, aws.ToString(m.Ebs.VolumeId))
		}
	}
	return of
}

// holders are the instances that volumes are attached to, the first one of a volume that several share.
func holders(all []types.Volume) []string {
	var ids []string
	for _, v := range all {
		if len(v.Attachments) > 0 {
			ids = append(ids, aws.ToString(v.Attachments[0].InstanceId))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}

func isBoot(i types.Instance, volume string) bool {
	device := deviceOf(i, volume)
	return device != "" && device == aws.ToString(i.RootDeviceName)
}

func nameOf(i types.Instance) string {
	for _, t := range i.Tags {
		if aws.ToString(t.Key) == "Name" && aws.ToString(t.Value) != "" {
			name := aws.ToString(t.Value)
			return name[:min(len(name), 128)]
		}
	}
	return aws.ToString(i.InstanceId)
}

func deviceOf(i types.Instance, volume string) string {
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil && aws.ToString(m.Ebs.VolumeId) == volume {
			return aws.ToString(m.DeviceName)
		}
	}
	return ""
}

// compareVolumes has the boot volume first, then goes by device: sdf is before sdaa.
func compareVolumes(a, b snapshot.Volume) int {
	return cmp.Or(cmp.Compare(boot(a), boot(b)), cmp.Compare(len(a.Device), len(b.Device)), cmp.Compare(a.Device, b.Device), cmp.Compare(a.ID, b.ID))
}

func boot(v snapshot.Volume) int {
	if v.Boot {
		return 0
	}
	return 1
}

func newPlan(all []types.Volume, instances map[string]types.Instance) (*Plan, error) {
	if len(all) > snapshot.MaxVolumes {
		return nil, fmt.Errorf("choose volumes: there are %d, and a set has %d at most", len(all), snapshot.MaxVolumes)
	}
	p := &Plan{}
	of := map[string][]string{} // chosen volumes by instance
	for _, v := range all {
		id := aws.ToString(v.VolumeId)
		for _, holder := range slices.Sorted(maps.Keys(instances)) {
			if i := instances[holder]; slices.Contains(attachedTo(i), id) {
				of[holder] = append(of[holder], id)
				p.Volumes = append(p.Volumes, snapshot.Volume{ID: id, Device: deviceOf(i, id), Boot: isBoot(i, id)})
				id = ""
				break
			}
		}
		if id != "" { // attached to nothing
			p.Volumes = append(p.Volumes, snapshot.Volume{ID: id})
			p.calls = append(p.calls, call{volumes: []string{id}})
		}
	}
	slices.SortFunc(p.Volumes, compareVolumes)
	for _, holder := range slices.Sorted(maps.Keys(of)) {
		p.calls = append(p.calls, callsOf(instances[holder], of[holder])...)
		if len(of) == 1 && len(of[holder]) == len(all) {
			p.Instance, p.Host = holder, nameOf(instances[holder])
		}
	}
	return p, nil
}

// callsOf are the calls that take some of an instance's volumes: one, unless too many others had to be left out of it.
func callsOf(i types.Instance, chosen []string) []call {
	c := call{instance: aws.ToString(i.InstanceId), volumes: chosen}
	for _, id := range attachedTo(i) {
		switch {
		case slices.Contains(chosen, id):
		case isBoot(i, id):
			c.noBoot = true
		default:
			c.exclude = append(c.exclude, id)
		}
	}
	if len(c.exclude) <= maxExclusions {
		return []call{c}
	}
	var each []call
	for _, id := range chosen {
		each = append(each, call{volumes: []string{id}})
	}
	return each
}
