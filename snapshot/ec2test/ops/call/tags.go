package call

import (
	"slices"
	"strings"
	"unicode/utf16"

	"nightjar/snapshot/ec2test/query"
)

// A Tag is a key and its value.
type Tag struct {
	Key   string `q:"Key" xml:"key"`
	Value string `q:"Value" xml:"value"`
}

// TagSet is the tags of a thing in the order in which they are answered.
func TagSet(tags map[string]string) []Tag {
	var set []Tag
	for k, v := range tags {
		set = append(set, Tag{k, v})
	}
	slices.SortFunc(set, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return set
}

// MaxTags is how many a resource can have.
const MaxTags = 50

// A TagSpecification is tags for what a call makes.
type TagSpecification struct {
	ResourceType string `q:"ResourceType"`
	Tags         []Tag  `q:"Tag"`
}

// Specified returns the tags of specifications, of which one may be for a kind of resource and none for others.
func Specified(specs []TagSpecification, kind string) (map[string]string, error) {
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
		if err := CheckTag(t); err != nil {
			return nil, err
		}
		tags[t.Key] = t.Value
	}
	return tags, TooMany(tags)
}

// TooMany refuses more tags than a resource can have; those of AWS do not count.
func TooMany(tags map[string]string) error {
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

// CheckTag refuses a tag that no resource can have.
func CheckTag(t Tag) error {
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

// NeedsTagging is the permission that tags at creation need besides.
func NeedsTagging(specs []TagSpecification) []string {
	if len(specs) == 0 {
		return nil
	}
	return []string{"ec2:CreateTags"}
}
