package record

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
)

// Snapshots is the name of the note that tells, as EncodeStored writes it, what the snapshots of a job take.
const Snapshots = "snapshots"

// Stored is what the EBS snapshots that a job keeps take in one tier of one region, as it was when a run ended.
type Stored struct {
	Region    string   `json:"region"`
	Tier      string   `json:"tier"` // standard or archive
	Snapshots uint64   `json:"snapshots"`
	AtMost    uint64   `json:"at_most_bytes"`         // if each was kept as a whole
	Bytes     *uint64  `json:"bytes,omitempty"`       // that are billed; nil: they were not counted
	Price     *float64 `json:"usd_per_gib,omitempty"` // a month; nil: not known
}

// Cost returns what Bytes cost a month in USD, if both are known.
func (s *Stored) Cost() (usd float64, ok bool) {
	if s.Bytes == nil {
		return 0, false
	}
	return s.priced(*s.Bytes)
}

// AtMostCost is Cost of AtMost.
func (s *Stored) AtMostCost() (usd float64, ok bool) { return s.priced(s.AtMost) }

func (s *Stored) priced(bytes uint64) (float64, bool) {
	if s.Price == nil {
		return 0, false
	}
	return float64(bytes) / (1 << 30) * *s.Price, true
}

// EncodeStored returns the text of a note.
func EncodeStored(all []Stored) string {
	b, _ := json.Marshal(all) // strings and finite numbers: never an error
	return string(b)
}

const (
	maxStored = 20       // regions and tiers of a job
	maxBytes  = 1 << 60  // of all of them: an exbibyte
	maxPrice  = 1_000.0  // USD
	maxNote   = 16 << 10 // bytes
)

var (
	regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z0-9]{1,20}){1,4}$`)
	tierName   = regexp.MustCompile(`^(standard|archive)$`)
)

// ParseStored reads the text of a note; of an empty one there is nothing.
func ParseStored(text string) ([]Stored, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxNote {
		return nil, fmt.Errorf("read what snapshots take: it has %d bytes, which is more than %d", len(text), maxNote)
	}
	var all []Stored
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read what snapshots take: %w", err)
	}
	if len(all) > maxStored {
		return nil, fmt.Errorf("read what snapshots take: there are more than %d regions and tiers", maxStored)
	}
	type key struct{ region, tier string }
	seen := map[key]bool{}
	for _, s := range all {
		k := key{s.Region, s.Tier}
		switch {
		case !regionName.MatchString(s.Region), !tierName.MatchString(s.Tier), seen[k]:
			return nil, fmt.Errorf("read what snapshots take: region %.40q, tier %.40q: it is none, or there twice", s.Region, s.Tier)
		case s.AtMost > maxBytes, s.Bytes != nil && *s.Bytes > maxBytes, s.Snapshots > math.MaxInt32, s.Price != nil && (*s.Price < 0 || *s.Price > maxPrice):
			return nil, fmt.Errorf("read what snapshots take: region %s, tier %s: a number is out of bounds", s.Region, s.Tier)
		}
		seen[k] = true
	}
	return all, nil
}
