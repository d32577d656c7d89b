package ops

import (
	"slices"
	"strings"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type listBinIn struct {
	dry
	paging
	IDs []string `q:"SnapshotId"`
}

type binOut struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	Description string     `xml:"description"`
	Entered     query.Time `xml:"recycleBinEnterTime"`
	Leaves      query.Time `xml:"recycleBinExitTime"`
}

type listBinOut struct {
	Snapshots []binOut `xml:"snapshotSet>item"`
	Next      string   `xml:"nextToken,omitempty"`
}

func listSnapshotsInRecycleBin(r *Request, in listBinIn) (any, error) {
	if err := checkIDs("snap", in.IDs); err != nil {
		return nil, err
	}
	pg, err := in.page("snapshotId", nil, len(in.IDs), 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, ok := r.Bin.Get(id); !ok {
			return nil, notFound(id)
		}
	}
	out := listBinOut{}
	out.Next = take(r, pg, r.Bin.Of(in.IDs, pg.after), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(*world.Snapshot) bool { return true }, func(s *world.Snapshot) {
		out.Snapshots = append(out.Snapshots, binOut{s.ID, s.Volume, s.Description, query.Time{Time: s.Deleted}, query.Time{Time: s.Expires}})
	})
	return out, nil
}

type restoreBinIn struct {
	dry
	ID string `q:"SnapshotId,required"`
}

type restoreBinOut struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	State       string     `xml:"status"`
	Started     query.Time `xml:"startTime"`
	Progress    string     `xml:"progress"`
	Owner       string     `xml:"ownerId"`
	Description string     `xml:"description"`
	GiB         int        `xml:"volumeSize"`
	Encrypted   bool       `xml:"encrypted"`
}

func restoreSnapshotFromRecycleBin(r *Request, in restoreBinIn) (any, error) {
	if err := checkID("snap", in.ID); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, ok := r.Bin.Get(in.ID)
	if !ok {
		return nil, notFound(in.ID)
	}
	r.Bin.Delete(s.ID)
	r.Snapshots.Add(s)
	return restoreBinOut{s.ID, s.Volume, s.State, query.Time{Time: s.Started}, "100%", s.Owner, s.Description, s.GiB, s.Encrypted}, nil
}

type blockStateIn struct{ dry }

type blockStateOut struct {
	State   string `xml:"state"`
	Managed string `xml:"managedBy"`
}

func getSnapshotBlockPublicAccessState(r *Request, _ blockStateIn) (any, error) {
	if err := r.May(); err != nil {
		return nil, err
	}
	state := r.Block[r.Name]
	if state == "" {
		state = "unblocked"
	}
	return blockStateOut{state, "account"}, nil
}

type describeImagesIn struct {
	dry
	paging
	Filters    []filter `q:"Filter"`
	Executable []string `q:"ExecutableBy"`
	IDs        []string `q:"ImageId"`
	Owners     []string `q:"Owner"`
	Deprecated bool     `q:"IncludeDeprecated"`
	Disabled   bool     `q:"IncludeDisabled"`
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
	Tags    []Tag         `xml:"tagSet>item"`
}

type describeImagesOut struct {
	Images []imageOut `xml:"imagesSet>item"`
	Next   string     `xml:"nextToken,omitempty"`
}

var imageFields = fields[*world.Image]{
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
	"image-id": func(i *world.Image) []string { return one(i.ID) }, "name": func(i *world.Image) []string { return one(i.Name) },
	"owner-id": func(i *world.Image) []string { return one(i.Owner) }, "state": func(i *world.Image) []string { return one(i.State) },
	"root-device-name": func(i *world.Image) []string { return one(i.Root) }, "root-device-type": func(*world.Image) []string { return one("ebs") },
	"is-public": func(*world.Image) []string { return truth(false) }, "image-type": func(*world.Image) []string { return one("machine") },
	"architecture": func(*world.Image) []string { return one("x86_64") },
}

func describeImages(r *Request, in describeImagesIn) (any, error) {
	if err := checkIDs("ami", in.IDs); err != nil {
		return nil, err
	}
	if err := imageFields.check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.page("imageId", []any{in.Filters, in.Owners, in.Executable}, len(in.IDs), 1, false)
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
	out.Next = take(r, pg, r.Images.Of(in.IDs, pg.after), func(i *world.Image) uint64 { return i.Ordinal }, func(i *world.Image) bool {
		owned := len(in.Owners) == 0 || slices.ContainsFunc(in.Owners, func(o string) bool { return o == i.Owner || o == "self" && i.Owner == world.Account })
		return owned && (i.State != "disabled" || in.Disabled) && i.Owner == world.Account && imageFields.match(i, i.Shown(), in.Filters)
	}, func(i *world.Image) { out.Images = append(out.Images, r.describeImage(i)) })
	return out, nil
}

func (r *Request) describeImage(i *world.Image) imageOut {
	o := imageOut{i.ID, i.Name, i.State, i.Owner, i.Root, "ebs", query.Time{Time: i.Created}, nil, tagSet(i.SeenTags())}
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
