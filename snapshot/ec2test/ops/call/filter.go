package call

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

// A Filter is one that a call asks for: one of its values has to be had.
type Filter struct {
	Name   string   `q:"Name,required"`
	Values []string `q:"Value"`
}

// Fields are what a kind of thing can be filtered by. A field may have many values; one that is nil is known, but nothing has it.
type Fields[T any] map[string]func(T) []string

// One is the value of a field, or none if it is empty.
func One(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Number is the value of a field that counts.
func Number(n int) []string { return []string{strconv.Itoa(n)} }

// Truth is the value of a field that is true or false.
func Truth(b bool) []string { return []string{strconv.FormatBool(b)} }

// When is the value of a field that is a time.
func When(t time.Time) []string { return []string{t.UTC().Format("2006-01-02T15:04:05.000Z")} }

// Check refuses filters that are not of this kind of thing.
func (f Fields[T]) Check(filters []Filter) error {
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

// CheckOnly is check for things that cannot be filtered by their tags.
func (f Fields[T]) CheckOnly(filters []Filter) error {
	for _, x := range filters {
		if _, ok := f[x.Name]; !ok {
			return query.Refuse("InvalidParameterValue", "The filter '%s' is invalid", x.Name)
		}
	}
	return f.Check(filters)
}

// Match tells whether a thing passes all filters.
func (f Fields[T]) Match(t T, tags map[string]string, filters []Filter) bool {
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

// Paging is part of the parameters of operations that list.
type Paging struct {
	MaxResults *int   `q:"MaxResults"`
	NextToken  string `q:"NextToken"`
}

type page struct {
	Most    int
	After   uint64
	listing string
	empty   string // the token that an empty page has
}

// Page checks what is asked for. A token serves the same listing alone: name and filters. Above 1,000, capped listings give 1,000 and others refuse.
func (p Paging) Page(name string, in any, ids int, least int, capped bool) (page, error) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", in)
	pg := page{Most: 1 << 30, listing: fmt.Sprintf("%s-%x", name, h.Sum64())}
	if p.MaxResults != nil {
		pg.Most = *p.MaxResults
		if ids > 0 {
			return pg, query.Refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", name)
		}
		if pg.Most > 1000 && capped {
			pg.Most = 1000
		}
		if pg.Most < least || pg.Most > 1000 {
			return pg, query.Refuse("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to 1000.", pg.Most, least)
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
		pg.After = after
		return pg, err
	}
	return pg, nil
}

// Paged calls show for what passes, up to a page of it, and returns the token for more.
func Paged[T any](r *Request, pg page, all func(yield func(T) bool), ordinal func(T) uint64, passes func(T) bool, show func(T)) string {
	if pg.empty != "" {
		return pg.empty
	}
	n, last := 0, uint64(0)
	for t := range all {
		if !passes(t) {
			continue
		}
		if n == pg.Most && r.EmptyPages {
			return query.Token(pg.listing+"-empty", last)
		}
		if n == pg.Most {
			return query.Token(pg.listing, last)
		}
		show(t)
		n, last = n+1, ordinal(t)
	}
	return ""
}
