package upkeep

import (
	"slices"
	"time"

	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/job/record"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
)

// day is one of 24 hours.
const day = 24 * time.Hour

// recordsKept returns how long records of runs and drills are kept: all for a month, and of each day the last for 400 days; longer by a slack.
func recordsKept(slack int) *retain.Policy {
	return &retain.Policy{Within: time.Duration(30+slack) * day, Each: map[string]int{"daily": 400 + slack}}
}

// fitsRules reports whether the rules of a command line are for an archive. Records of runs and drills have their own, unless their kind is named.
func (o *forgetFlags) fitsRules(x *repo.Archive) bool {
	return o.Fits(x) && (len(o.Kinds) > 0 || !choice.IsRecord(x))
}

// oldRecords decides which records are given up beside the archives that were chosen. It gives up none until some are older than they are kept for by a month: then all that are
// older, so that it happens once a month and not with each forget.
func oldRecords(archives []repo.Archive, chosen *repo.Selection, now time.Time) []retain.Decision {
	if len(chosen.Kinds)+len(chosen.Tags)+len(chosen.Labels) > 0 || !chosen.At.IsZero() {
		return nil
	}
	fits := func(x *repo.Archive) bool {
		kind := string(x.Kind)
		return record.IsKind(kind) && (chosen.Host == "" || x.Host == chosen.Host) && (chosen.Job == "" || string(x.Job) == kind+" "+chosen.Job)
	}
	goes := func(d retain.Decision) bool { return !d.Keep }
	if !slices.ContainsFunc(recordsKept(30).Decide(archives, fits, now, time.Local), goes) {
		return nil
	}
	all := recordsKept(0).Decide(archives, fits, now, time.Local)
	return slices.DeleteFunc(all, func(d retain.Decision) bool { return d.Keep })
}
