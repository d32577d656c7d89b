package report

import (
	"fmt"

	"nightjar/internal/human"
	"nightjar/job/history"
	"nightjar/job/record"
)

// A snapshotSum sums up what the EBS snapshots of all jobs cost.
type snapshotSum struct {
	usd             float64
	rows            int
	atMost, unknown bool // a part is an upper bound, or has no price
}

// bill adds what the snapshots of a job's run take, as the run has recorded it.
func (v *view) bill(name string, n *history.Night, sum *snapshotSum) {
	all, _ := record.ParseStored(n.Notes[record.Snapshots]) // of what cannot be read nothing is told
	for i := range all {
		s := &all[i]
		bytes, usd, priced, most := s.AtMost, 0.0, false, ""
		if s.Bytes != nil {
			bytes = *s.Bytes
			usd, priced = s.Cost()
		} else {
			usd, priced = s.AtMostCost()
			most, sum.atMost = "at most ", true
		}
		cost := "no price is known"
		if priced {
			cost = fmt.Sprintf("%s%.2f USD", most, usd)
		}
		sum.usd += usd
		sum.unknown = sum.unknown || !priced
		sum.rows++
		v.SnapshotCosts.add(name, s.Region, s.Tier, fmt.Sprint(s.Snapshots), most+human.Size(bytes), cost)
	}
}

// words say what all snapshots together cost.
func (s *snapshotSum) words() string {
	if s.rows == 0 || s.usd == 0 && s.unknown {
		return "no price is known"
	}
	text := fmt.Sprintf("%.2f USD a month", s.usd)
	if s.atMost {
		text = "at most " + text
	}
	if s.unknown {
		text += ", and what has no price"
	}
	return text
}
