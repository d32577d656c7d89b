package ops

import (
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/snapshot/ec2test/query"
)

type filter struct {
	Name   string   `q:"Name,required"`
	Values []string `q:"Value"`
}

// fields are what a kind of thing can be filtered by. A field may have many values; one that is nil is known, but nothing has it.
type fields[T any] map[string]func(T) []string

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func number(n int) []string     { return []string{strconv.Itoa(n)} }
func truth(b bool) []string     { return []string{strconv.FormatBool(b)} }
func when(t time.Time) []string { return []string{t.UTC().Format("2006-01-02T15:04:05.000Z")} }

// check refuses filters that are not of this kind of thing.
func (f fields[T]) check(filters []filter) error {
	values := 0
	for _, x := range filters {
		if _, ok := f[x.Name]; !ok && !strings.HasPrefix(x.Name, "tag:") && x.Name != "tag-key" {
			return query.Refuse("InvalidParameterValue", "The filter '%s' is invalid", x.Name)
		}
		if len(x.Values) == 0 {
			return query.Refuse("InvalidParameterValue", "The filter '%s' has no value", x.Name)
		}
		values += len(x.Values)
	}
	if values > 200 {
		return query.Refuse("FilterLimitExceeded", "The maximum length for filter values is 200")
	}
	return nil
}

// checkOnly is check for things that cannot be filtered by their tags.
func (f fields[T]) checkOnly(filters []filter) error {
	for _, x := range filters {
		if _, ok := f[x.Name]; !ok {
			return query.Refuse("InvalidParameterValue", "The filter '%s' is invalid", x.Name)
		}
	}
	return f.check(filters)
}

// match tells whether a thing passes all filters.
func (f fields[T]) match(t T, tags map[string]string, filters []filter) bool {
	for _, x := range filters {
		var has []string
		if key, ok := strings.CutPrefix(x.Name, "tag:"); ok {
			if v, ok := tags[key]; ok {
				has = []string{v}
			}
		} else if x.Name == "tag-key" {
			for k := range tags {
				has = append(has, k)
			}
		} else if get := f[x.Name]; get != nil {
			has = get(t)
		}
		if !slices.ContainsFunc(has, func(h string) bool { return slices.ContainsFunc(x.Values, func(v string) bool { return like(v, h) }) }) {
			return false
		}
	}
	return true
}

// like matches a value with a pattern of * and ?; a backslash takes their meaning away.
func like(pattern, value string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return pattern == value
	}
	// path.Match knows these, but keeps * from matching a slash and knows classes too.
	swap := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(swap.Replace(strings.ReplaceAll(pattern, "[", `\[`)), swap.Replace(value))
	return ok && err == nil
}

type paging struct {
	MaxResults *int   `q:"MaxResults"`
	NextToken  string `q:"NextToken"`
}

type page struct {
	most    int
	after   uint64
	listing string
	empty   string // the token that an empty page has
}

// page checks what is asked for. A token serves the same listing alone: name and filters. Above 1,000, capped listings give 1,000 and others refuse.
func (p paging) page(name string, in any, ids int, least int, capped bool) (page, error) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", in)
	pg := page{most: 1 << 30, listing: fmt.Sprintf("%s-%x", name, h.Sum64())}
	if p.MaxResults != nil {
		pg.most = *p.MaxResults
		if ids > 0 {
			return pg, query.Refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", name)
		}
		if pg.most > 1000 && capped {
			pg.most = 1000
		}
		if pg.most < least || pg.most > 1000 {
			return pg, query.Refuse("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to 1000.", pg.most, least)
		}
	}
	if p.NextToken != "" {
		if ids > 0 {
			return pg, query.Refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter nextToken", name)
		}
		after, err := query.ParseToken(pg.listing, p.NextToken)
		if err != nil { // it may be one that an empty page is before
			if after, err = query.ParseToken(pg.listing+"-empty", p.NextToken); err == nil {
				pg.empty = query.Token(pg.listing, after)
			}
		}
		pg.after = after
		return pg, err
	}
	return pg, nil
}

// take calls show for what passes, up to a page of it, and returns the token for more.
func take[T any](r *Request, pg page, all func(yield func(T) bool), ordinal func(T) uint64, passes func(T) bool, show func(T)) string {
	if pg.empty != "" {
		return pg.empty
	}
	n, last := 0, uint64(0)
	for t := range all {
		if !passes(t) {
			continue
		}
		if n == pg.most && r.EmptyPages {
			return query.Token(pg.listing+"-empty", last)
		}
		if n == pg.most {
			return query.Token(pg.listing, last)
		}
		show(t)
		n, last = n+1, ordinal(t)
	}
	return ""
}

// A Tag is a key and its value.
type Tag struct {
	Key   string `q:"Key" xml:"key"`
	Value string `q:"Value" xml:"value"`
}

func tagSet(tags map[string]string) []Tag {
	var set []Tag
	for k, v := range tags {
		set = append(set, Tag{k, v})
	}
	slices.SortFunc(set, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return set
}
