package ops

import (
	"maps"
	"strings"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type deletedTag struct {
	Key   string  `q:"Key"`
	Value *string `q:"Value"`
}

type createTagsIn struct {
	call.Dry
	Resources []string   `q:"ResourceId,required"`
	Tags      []call.Tag `q:"Tag,required"`
}

type deleteTagsIn struct {
	call.Dry
	Resources []string     `q:"ResourceId,required"`
	Tags      []deletedTag `q:"Tag"`
}

// taggable finds a resource by its ID.
func taggable(r *call.Request, id string) (*world.Meta, error) {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "i", "vol", "snap", "ami":
		if err := call.CheckID(kind, id); err != nil {
			return nil, err
		}
	default:
		return nil, query.Refuse("InvalidID", "The ID '%s' is not valid", id)
	}
	switch kind {
	case "i":
		i, err := r.Instance(id)
		if err != nil {
			return nil, err
		}
		return &i.Meta, nil
	case "vol":
		v, err := r.Volume(id)
		if err != nil {
			return nil, err
		}
		return &v.Meta, nil
	case "ami":
		if i, ok := r.Images.Get(id); ok && i.Owner == world.Account {
			return &i.Meta, nil
		}
		return nil, query.Refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
	}
	s, err := r.Own(id)
	if err != nil {
		return nil, err
	}
	return &s.Meta, nil
}

func allTaggable(r *call.Request, ids []string) (metas []*world.Meta, err error) {
	for _, id := range ids {
		m, err := taggable(r, id)
		if err != nil {
			return nil, err
		}
		metas = append(metas, m)
	}
	return metas, nil
}

func createTags(r *call.Request, in createTagsIn) (any, error) {
	if len(in.Resources) > 1000 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 1000 resources may be tagged in one request")
	}
	seen := map[string]bool{}
	for _, t := range in.Tags {
		if err := call.CheckTag(t); err != nil {
			return nil, err
		}
		if seen[t.Key] {
			return nil, query.Refuse("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		seen[t.Key] = true
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	metas, err := allTaggable(r, in.Resources)
	if err != nil {
		return nil, err
	}
	var merged []map[string]string
	for _, m := range metas {
		tags := maps.Clone(m.Tags)
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
		if err := call.TooMany(tags); err != nil {
			return nil, err
		}
		merged = append(merged, tags)
	}
	for i, m := range metas {
		r.Retag(m, merged[i])
	}
	return call.Done{Return: true}, nil
}

func deleteTags(r *call.Request, in deleteTagsIn) (any, error) {
	if len(in.Resources) > 1000 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 1000 resources may be untagged in one request")
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	metas, err := allTaggable(r, in.Resources)
	if err != nil {
		return nil, err
	}
	for _, m := range metas {
		tags := maps.Clone(m.Tags)
		for _, t := range in.Tags {
			if has, ok := tags[t.Key]; ok && (t.Value == nil || *t.Value == has) {
				delete(tags, t.Key)
			}
		}
		if len(in.Tags) == 0 {
			maps.DeleteFunc(tags, func(k, _ string) bool { return !strings.HasPrefix(k, "aws:") })
		}
		r.Retag(m, tags)
	}
	return call.Done{Return: true}, nil
}

type describeTagsIn struct {
	call.Dry
	call.Paging
	Filters []call.Filter `q:"Filter"`
}

type tagDescription struct {
	ResourceID   string `xml:"resourceId"`
	ResourceType string `xml:"resourceType"`
	call.Tag
}

type describeTagsOut struct {
	Tags []tagDescription `xml:"tagSet>item"`
	Next string           `xml:"nextToken,omitempty"`
}

var tagFields = call.Fields[tagDescription]{
	"key":           func(t tagDescription) []string { return []string{t.Key} },
	"value":         func(t tagDescription) []string { return []string{t.Value} },
	"resource-id":   func(t tagDescription) []string { return []string{t.ResourceID} },
	"resource-type": func(t tagDescription) []string { return []string{t.ResourceType} },
}

func describeTags(r *call.Request, in describeTagsIn) (any, error) {
	if err := tagFields.Check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.Page("tag", in.Filters, 0, 5, false)
	if err != nil {
		return nil, err
	}
	pg.Most = min(pg.Most, 1000)
	if err := r.May(); err != nil {
		return nil, err
	}
	var all []tagDescription
	add := func(kind string, m *world.Meta) {
		if !m.Seen() {
			return
		}
		for _, t := range call.TagSet(m.SeenTags()) {
			all = append(all, tagDescription{m.ID, kind, t})
		}
	}
	for i := range r.Instances.All(0) {
		add("instance", &i.Meta)
	}
	for v := range r.Volumes.All(0) {
		add("volume", &v.Meta)
	}
	for s := range r.Snapshots.All(0) {
		if s.Owner == world.Account {
			add("snapshot", &s.Meta)
		}
	}
	for i := range r.Images.All(0) {
		add("image", &i.Meta)
	}
	out := describeTagsOut{}
	n := uint64(0) // tags have no ordinals: the place in the list serves
	out.Next = call.Paged(r, pg, func(yield func(tagDescription) bool) {
		for _, t := range all {
			if n++; n > pg.After && !yield(t) {
				return
			}
		}
	}, func(tagDescription) uint64 { return n }, func(t tagDescription) bool {
		return tagFields.Match(t, map[string]string{t.Key: t.Value}, in.Filters)
	}, func(t tagDescription) { out.Tags = append(out.Tags, t) })
	return out, nil
}
