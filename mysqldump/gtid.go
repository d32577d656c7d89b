package mysqldump

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MaxIntervals is how many intervals, or domains, a GTID set may have.
const MaxIntervals = 1 << 17

// MaxText is how many bytes the text of a GTID set or of a Position may have: half of what an archive has room for.
const MaxText = 2 << 20

const (
	maxSequence = math.MaxInt64 - 1 // of MySQL, which keeps the end of an interval as a signed number one higher
	maxTag      = 32                // bytes, of MySQL
	blank       = " \t\n\v\f\r"     // what servers skip
)

// A GTIDSet is a set of global transaction ids in the form of MySQL or in that of MariaDB. It does not change.
//
// MySQL's is a set of transactions, by source and tag. MariaDB's names the last transaction of each domain. It stands
// for that transaction and all of the domain with a lower sequence number, whichever server they came from.
//
// The zero value is the empty set, which has no form. It says nothing of a position: servers that have no GTIDs and
// servers that have no transactions print the same.
type GTIDSet struct {
	runs    []run   // MySQL's: in order, disjoint, and not adjacent
	domains []point // MariaDB's: in the order of their domains, one each
}

// A run is transactions of one source and tag whose numbers have no gap. Both ends belong to it.
type run struct {
	source      UUID
	tag         string // in lower case; empty for none
	first, last uint64
}

func (r run) compareSource(o run) int {
	return cmp.Or(bytes.Compare(r.source[:], o.source[:]), strings.Compare(r.tag, o.tag))
}

// A point is the last transaction of a domain.
type point struct {
	domain, server uint32
	sequence       uint64
}

// ParseGTIDSet parses a GTID set as servers print it, and as they take it: MySQL's with any white space around its parts,
// in any order, overlapping, in either case. Blank text is the empty set.
//
// It refuses what servers never print and some take for something else: numbers with leading zeros (octal to MySQL 5.7,
// not to 9.7), intervals that end before they begin, and sources without a transaction (both nothing to MySQL). It
// refuses two GTIDs of one domain, which only MariaDB's gtid_binlog_state has, and sets of more than MaxIntervals or
// MaxText.
func ParseGTIDSet(text string) (GTIDSet, error) {
	s, err := parseGTIDSet(text)
	if err != nil {
		return GTIDSet{}, fmt.Errorf("parse GTID set: %w", err)
	}
	return s, nil
}

func parseGTIDSet(text string) (s GTIDSet, err error) {
	if len(text) > MaxText {
		return s, fmt.Errorf("%d bytes are more than %d", len(text), MaxText)
	}
	if strings.Trim(text, blank) == "" {
		return s, nil
	}
	mysql := strings.Contains(text, ":")
	for item := range strings.SplitSeq(text, ",") {
		item = strings.Trim(item, blank)
		if mysql {
			s.runs, err = appendSource(s.runs, item)
		} else {
			s.domains, err = appendDomain(s.domains, item)
		}
		if err != nil {
			return GTIDSet{}, err
		}
	}
	s.runs = merge(s.runs)
	slices.SortFunc(s.domains, func(a, b point) int { return cmp.Compare(a.domain, b.domain) })
	for i := 1; i < len(s.domains); i++ {
		if d := s.domains[i].domain; d == s.domains[i-1].domain {
			return GTIDSet{}, fmt.Errorf("domain %d is there twice, as no position has it", d)
		}
	}
	return s, nil
}

// appendSource parses uuid:1-3:5:tag:1. A tag is of the intervals after it.
func appendSource(runs []run, item string) ([]run, error) {
	uuid, rest, ok := strings.Cut(item, ":")
	source, err := ParseUUID(strings.Trim(uuid, blank))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s has no transaction", source)
	}
	r, wanting := run{source: source}, true
	for part := range strings.SplitSeq(rest, ":") {
		part = strings.Trim(part, blank)
		if isTag(part) {
			if wanting && r.tag != "" {
				return nil, fmt.Errorf("tag %q of %s has no transaction", r.tag, source)
			}
			r.tag, wanting = strings.Clone(strings.ToLower(part)), true
			continue
		}
		if r.first, r.last, err = parseInterval(part); err != nil {
			return nil, fmt.Errorf("%w, of %s", err, source)
		}
		if len(runs) == MaxIntervals {
			return nil, errTooMany
		}
		runs, wanting = append(runs, r), false
	}
	if wanting {
		return nil, fmt.Errorf("tag %q of %s has no transaction", r.tag, source)
	}
	return runs, nil
}

func isTag(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20 // lower case of a letter
		if letter := 'a' <= c && c <= 'z' || s[i] == '_'; !letter && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxTag
}

func parseInterval(s string) (first, last uint64, err error) {
	from, to, ranged := strings.Cut(s, "-")
	if first, err = parseNumber(strings.Trim(from, blank), maxSequence); err != nil {
		return 0, 0, err
	}
	if last = first; ranged {
		if last, err = parseNumber(strings.Trim(to, blank), maxSequence); err != nil {
			return 0, 0, err
		}
	}
	if first == 0 || last < first {
		return 0, 0, fmt.Errorf("%d-%d is no interval", first, last)
	}
	return first, last, nil
}

func appendDomain(domains []point, item string) ([]point, error) {
	parts := strings.SplitN(item, "-", 4)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no GTID", clip(item))
	}
	domain, err1 := parseNumber(parts[0], math.MaxUint32)
	server, err2 := parseNumber(parts[1], math.MaxUint32)
	sequence, err3 := parseNumber(parts[2], math.MaxUint64)
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	if len(domains) == MaxIntervals {
		return nil, errTooMany
	}
	return append(domains, point{uint32(domain), uint32(server), sequence}), nil
}

var errTooMany = fmt.Errorf("more than %d intervals", MaxIntervals)

// parseNumber parses a number as servers print it, without sign or leading zeros.
func parseNumber(s string, highest uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > highest || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is no number up to %d", clip(s), highest)
	}
	return n, nil
}

// clip bounds what an error says of text from outside.
func clip(s string) string { return s[:min(len(s), 80)] }

// String returns the set on one line, without white space, as the server would print it: sources, tags and domains in
// order, intervals merged. ParseGTIDSet gets the set back.
func (s GTIDSet) String() string {
	var b []byte
	for i, r := range s.runs {
		newSource := i == 0 || r.source != s.runs[i-1].source
		if newSource {
			b = append(b, ","+r.source.String()...)
		}
		if r.tag != "" && (newSource || r.tag != s.runs[i-1].tag) {
			b = append(b, ":"+r.tag...)
		}
		b = strconv.AppendUint(append(b, ':'), r.first, 10)
		if r.last > r.first {
			b = strconv.AppendUint(append(b, '-'), r.last, 10)
		}
	}
	for _, p := range s.domains {
		b = fmt.Appendf(b, ",%d-%d-%d", p.domain, p.server, p.sequence)
	}
	return strings.TrimPrefix(string(b), ",")
}

// Flavor returns whose form the set has; empty for the empty set.
func (s GTIDSet) Flavor() Flavor {
	switch {
	case len(s.runs) > 0:
		return MySQL
	case len(s.domains) > 0:
		return MariaDB
	}
	return ""
}

// IsZero reports whether the set is empty.
func (s GTIDSet) IsZero() bool { return s.Flavor() == "" }

// Equal reports whether the sets have the same form and the same transactions.
func (s GTIDSet) Equal(t GTIDSet) bool {
	return slices.Equal(s.runs, t.runs) && slices.Equal(s.domains, t.domains)
}

// Contains reports whether a server that has executed s has executed all of t. A set of one form contains nothing of the
// other's. Of MariaDB's, the same number from two servers is two transactions, neither of which contains the other;
// the server's MASTER_GTID_WAIT goes by the number alone.
func (s GTIDSet) Contains(t GTIDSet) bool { return t.without(s).IsZero() }

// Union returns what a server has executed that has executed both. The error is of sets that have no union: of two forms,
// of more than MaxIntervals, or of domains that parted, with one sequence number from two servers.
func (s GTIDSet) Union(t GTIDSet) (GTIDSet, error) {
	if !s.IsZero() && !t.IsZero() && s.Flavor() != t.Flavor() {
		return GTIDSet{}, fmt.Errorf("unite GTID sets: one is of %s, one of %s", s.Flavor(), t.Flavor())
	}
	u := GTIDSet{runs: merge(slices.Concat(s.runs, t.runs))}
	domains := slices.Concat(s.domains, t.domains)
	slices.SortFunc(domains, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.domain, b.domain), cmp.Compare(a.sequence, b.sequence))
	})
	for _, p := range domains {
		n := len(u.domains)
		if n == 0 || u.domains[n-1].domain != p.domain {
			u.domains = append(u.domains, p)
			continue
		}
		if last := u.domains[n-1]; last.sequence == p.sequence && last.server != p.server {
			return GTIDSet{}, fmt.Errorf("unite GTID sets: transaction %d of domain %d is of server %d and of server %d",
				p.sequence, p.domain, last.server, p.server)
		}
		u.domains[n-1] = p
	}
	return u.bounded("unite")
}

// Subtract returns what s has that t does not contain: MySQL's transactions, and MariaDB's domains as s has them. It is
// empty if t contains s. The error is of a result of more than MaxIntervals.
func (s GTIDSet) Subtract(t GTIDSet) (GTIDSet, error) { return s.without(t).bounded("subtract") }

func (s GTIDSet) bounded(verb string) (GTIDSet, error) {
	if len(s.runs) > MaxIntervals || len(s.domains) > MaxIntervals {
		return GTIDSet{}, fmt.Errorf("%s GTID sets: %w", verb, errTooMany)
	}
	return s, nil
}

func (s GTIDSet) without(t GTIDSet) (rest GTIDSet) {
	cuts := t.runs
	for _, r := range s.runs {
		for len(cuts) > 0 && (cuts[0].compareSource(r) < 0 || cuts[0].compareSource(r) == 0 && cuts[0].last < r.first) {
			cuts = cuts[1:]
		}
		for _, c := range cuts {
			if c.compareSource(r) != 0 || c.first > r.last {
				break
			}
			if c.first > r.first {
				rest.runs = append(rest.runs, run{r.source, r.tag, r.first, c.first - 1})
			}
			r.first = c.last + 1
		}
		if r.first <= r.last {
			rest.runs = append(rest.runs, r)
		}
	}
	for _, p := range s.domains {
		i, found := slices.BinarySearchFunc(t.domains, p.domain, func(q point, d uint32) int { return cmp.Compare(q.domain, d) })
		if !found || t.domains[i] != p && t.domains[i].sequence <= p.sequence {
			rest.domains = append(rest.domains, p)
		}
	}
	return rest
}

// merge puts runs in order, in place, and makes one of those that overlap or meet.
func merge(runs []run) []run {
	slices.SortFunc(runs, func(a, b run) int { return cmp.Or(a.compareSource(b), cmp.Compare(a.first, b.first)) })
	merged := runs[:0]
	for _, r := range runs {
		if n := len(merged); n > 0 && merged[n-1].compareSource(r) == 0 && r.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, r.last)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}
