package ops

import (
	"slices"
	"strings"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type describeImagesIn struct {
	call.Dry
	call.Paging
	Filters    []call.Filter `q:"Filter"`
	Executable []string      `q:"ExecutableBy"`
	IDs        []string      `q:"ImageId"`
	Owners     []string      `q:"Owner"`
	Deprecated bool          `q:"IncludeDeprecated"`
	Disabled   bool          `q:"IncludeDisabled"`
}

type imageEBS struct {
	Snapshot string `xml:"snapshotId"`
	GiB      int    `xml:"volumeSize"`
	Type     string `xml:"volumeType"`
	Delete   bool   `xml:"deleteOnTermination"`
}

type imageDevice struct {
	Device string   `xml:"deviceName"`
	EBS    imageEBS `xml:"ebs"`
}

type imageOut struct {
	ID      string        `xml:"imageId"`
	Name    string        `xml:"name"`
	State   string        `xml:"imageState"`
	Owner   string        `xml:"imageOwnerId"`
	Root    string        `xml:"rootDeviceName"`
	Type    string        `xml:"rootDeviceType"`
	Created query.Time    `xml:"creationDate"`
	Devices []imageDevice `xml:"blockDeviceMapping>item"`
	Tags    []call.Tag    `xml:"tagSet>item"`
}

type describeImagesOut struct {
	Images []imageOut `xml:"imagesSet>item"`
	Next   string     `xml:"nextToken,omitempty"`
}

var imageFields = call.Fields[*world.Image]{
	"block-device-mapping.snapshot-id": func(i *world.Image) (ids []string) {
		for _, s := range i.Snapshots {
			ids = append(ids, s)
		}
		return ids
	},
	"block-device-mapping.device-name": func(i *world.Image) (names []string) {
		for d := range i.Snapshots {
			names = append(names, d)
		}
		return names
	},
	"image-id": func(i *world.Image) []string { return call.One(i.ID) }, "name": func(i *world.Image) []string { return call.One(i.Name) },
	"owner-id": func(i *world.Image) []string { return call.One(i.Owner) }, "state": func(i *world.Image) []string { return call.One(i.State) },
	"root-device-name": func(i *world.Image) []string { return call.One(i.Root) }, "root-device-type": func(*world.Image) []string { return call.One("ebs") },
	"is-public": func(*world.Image) []string { return call.Truth(false) }, "image-type": func(*world.Image) []string { return call.One("machine") },
	"architecture": func(*world.Image) []string { return call.One("x86_64") },
}

func describeImages(r *call.Request, in describeImagesIn) (any, error) {
	if err := call.CheckIDs("ami", in.IDs); err != nil {
		return nil, err
	}
	if err := imageFields.Check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("imageId", []any{in.Filters, in.Owners, in.Executable}, len(in.IDs), 1, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, ok := r.Images.Get(id); !ok {
			return nil, query.Refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	out := describeImagesOut{}
	out.Next = call.Paged(r, pg, r.Images.Of(in.IDs, pg.After), func(i *world.Image) uint64 { return i.Ordinal }, func(i *world.Image) bool {
		owned := len(in.Owners) == 0 || slices.ContainsFunc(in.Owners, func(o string) bool { return o == i.Owner || o == "self" && i.Owner == world.Account })
		return owned && (i.State != "disabled" || in.Disabled) && i.Owner == world.Account && imageFields.Match(i, i.Shown(), in.Filters)
	}, func(i *world.Image) { out.Images = append(out.Images, describeImage(r, i)) })
	return out, nil
}

func describeImage(r *call.Request, i *world.Image) imageOut {
	o := imageOut{i.ID, i.Name, i.State, i.Owner, i.Root, "ebs", query.Time{Time: i.Created}, nil, call.TagSet(i.SeenTags())}
	for device, id := range i.Snapshots {
		e := imageEBS{Snapshot: id, Type: "gp3", Delete: true}
		if s, ok := r.Snapshots.Get(id); ok {
			e.GiB = s.GiB
		}
		o.Devices = append(o.Devices, imageDevice{device, e})
	}
	slices.SortFunc(o.Devices, func(a, b imageDevice) int { return strings.Compare(a.Device, b.Device) })
	return o
}
