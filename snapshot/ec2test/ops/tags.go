package ops

import (
	"maps"
	"strings"
	"unicode/utf16"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// MaxTags is how many a resource can have.
const MaxTags = 50

type tagSpecification struct {
	ResourceType string `q:"ResourceType"`
	Tags         []Tag  `q:"Tag"`
}

// specified returns the tags of specifications, of which one may be for a kind of resource and none for others.
func specified(specs []tagSpecification, kind string) (map[string]string, error) {
	tags := map[string]string{}
	for i, s := range specs {
		if s.ResourceType == "" {
			return nil, query.Refuse("MissingParameter", "The request must contain the parameter TagSpecification.%d.ResourceType", i+1)
		}
		if s.ResourceType != kind {
			return nil, query.Refuse("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", s.ResourceType)
		}
		if i > 0 {
			return nil, query.Refuse("InvalidParameterValue", "Duplicate resource type '%s' in tag specifications", kind)
		}
		if len(s.Tags) == 0 {
			return nil, query.Refuse("InvalidParameterValue", "Tag specification must have at least one tag")
		}
		var err error
		if tags, err = TagMap(s.Tags); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// TagMap returns tags that a resource can be made with.
func TagMap(list []Tag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		if _, twice := tags[t.Key]; twice {
			return nil, query.Refuse("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		if err := checkTag(t); err != nil {
			return nil, err
		}
		tags[t.Key] = t.Value
	}
	return tags, tooMany(tags)
}

func tooMany(tags map[string]string) error {
	n := 0
	for k := range tags {
		if !strings.HasPrefix(k, "aws:") {
			n++
		}
	}
	if n > MaxTags {
		return query.Refuse("TagLimitExceeded", "More than %d tags specified", MaxTags)
	}
	return nil
}

func checkTag(t Tag) error {
	units := func(s string) int { return len(utf16.Encode([]rune(s))) }
	switch {
	case t.Key == "":
		return query.Refuse("InvalidParameterValue", "Tag key cannot be null or empty")
	case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
		return query.Refuse("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
	case units(t.Key) > 127:
		return query.Refuse("InvalidParameterValue", "Tag key exceeds the maximum length of 127 characters")
	case units(t.Value) > 255:
		return query.Refuse("InvalidParameterValue", "Tag value exceeds the maximum length of 255 characters")
	}
	return nil
}

type deletedTag struct {
	Key   string  `q:"Key"`
	Value *string `q:"Value"`
}

type createTagsIn struct {
	dry
	Resources []string `q:"ResourceId,required"`
	Tags      []Tag    `q:"Tag,required"`
}

type deleteTagsIn struct {
	dry
	Resources []string     `q:"ResourceId,required"`
	Tags      []deletedTag `q:"Tag"`
}

type done struct {
	Return bool `xml:"return"`
}

// taggable finds a resource by its ID.
func (r *Request) taggable(id string) (*world.Meta, error) {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "i", "vol", "snap", "ami":
		if err := checkID(kind, id); err != nil {
			return nil, err
		}
	default:
		return nil, query.Refuse("InvalidID", "The ID '%s' is not valid", id)
	}
	switch kind {
	case "i":
		i, err := r.instance(id)
		if err != nil {
			return nil, err
		}
		return &i.Meta, nil
	case "vol":
		v, err := r.volume(id)
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
	s, err := r.own(id)
	if err != nil {
		return nil, err
	}
	return &s.Meta, nil
}

func (r *Request) allTaggable(ids []string) (metas []*world.Meta, err error) {
	for _, id := range ids {
		m, err := r.taggable(id)
		if err != nil {
			return nil, err
		}
		metas = append(metas, m)
	}
	return metas, nil
}

func createTags(r *Request, in createTagsIn) (any, error) {
	if len(in.Resources) > 1000 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 1000 resources may be tagged in one request")
	}
	seen := map[string]bool{}
	for _, t := range in.Tags {
		if err := checkTag(t); err != nil {
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
	metas, err := r.allTaggable(in.Resources)
	if err != nil {
		return nil, err
	}
	var merged []map[string]string
	for _, m := range metas {
		tags := maps.Clone(m.Tags)
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
		if err := tooMany(tags); err != nil {
			return nil, err
		}
		merged = append(merged, tags)
	}
	for i, m := range metas {
		r.Retag(m, merged[i])
	}
	return done{true}, nil
}

func deleteTags(r *Request, in deleteTagsIn) (any, error) {
	if len(in.Resources) > 1000 {
		return nil, query.Refuse("InvalidParameterValue", "Up to 1000 resources may be untagged in one request")
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	metas, err := r.allTaggable(in.Resources)
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
	return done{true}, nil
}

type describeTagsIn struct {
	dry
	paging
	Filters []filter `q:"Filter"`
}

type tagDescription struct {
	ResourceID   string `xml:"resourceId"`
	ResourceType string `xml:"resourceType"`
	Tag
}

type describeTagsOut struct {
	Tags []tagDescription `xml:"tagSet>item"`
	Next string           `xml:"nextToken,omitempty"`
}

var tagFields = fields[tagDescription]{
	"key":           func(t tagDescription) []string { return []string{t.Key} },
	"value":         func(t tagDescription) []string { return []string{t.Value} },
	"resource-id":   func(t tagDescription) []string { return []string{t.ResourceID} },
	"resource-type": func(t tagDescription) []string { return []string{t.ResourceType} },
}

func describeTags(r *Request, in describeTagsIn) (any, error) {
	if err := tagFields.check(in.Filters); err != nil {
		return nil, err
	}
	pg, err := in.page("tag", in.Filters, 0, 5, false)
	if err != nil {
		return nil, err
	}
	pg.most = min(pg.most, 1000)
	if err := r.May(); err != nil {
		return nil, err
	}
	var all []tagDescription
	add := func(kind string, m *world.Meta) {
		if !m.Seen() {
			return
		}
		for _, t := range tagSet(m.SeenTags()) {
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
	out.Next = take(r, pg, func(yield func(tagDescription) bool) {
		for _, t := range all {
			if n++; n > pg.after && !yield(t) {
				return
			}
		}
	}, func(tagDescription) uint64 { return n }, func(t tagDescription) bool {
		return tagFields.match(t, map[string]string{t.Key: t.Value}, in.Filters)
	}, func(t tagDescription) { out.Tags = append(out.Tags, t) })
	return out, nil
}
