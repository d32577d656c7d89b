package history

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"nightjar/job/record"
)

// A name is what a job is known by.
type name struct{ host, job string }

// A reading is the work of Read.
type reading struct {
	byID    map[string]*Archive
	jobs    map[name]*Job
	drills  []Night
	claimed map[string]bool // archives of which there is a record
	seen    map[same]bool
}

// same tells records of one run apart from those of others: a record is written again when the answer of the store was lost.
type same struct {
	name
	archive, error string
	start, end     time.Time
	outcome        record.Outcome
}

// Read joins archives, in any order, into jobs, ordered by host and name. A job has at least one night.
func Read(archives []Archive, now time.Time) []Job {
	r := reading{map[string]*Archive{}, map[name]*Job{}, nil, map[string]bool{}, map[same]bool{}}
	ordered := make([]*Archive, len(archives))
	for i := range archives {
		ordered[i] = &archives[i]
		if !isRecord(&archives[i]) {
			r.byID[archives[i].ID] = &archives[i]
		}
	}
	slices.SortStableFunc(ordered, func(a, b *Archive) int { return cmp.Or(a.Stored.Compare(b.Stored), strings.Compare(a.ID, b.ID)) })
	for _, a := range ordered {
		if isRecord(a) {
			r.record(a)
		}
	}
	for _, a := range ordered {
		if !isRecord(a) && !r.claimed[a.ID] {
			n := unrecorded(a)
			j := r.job(name{a.Host, a.Job})
			j.Nights = append(j.Nights, n)
		}
	}
	for _, n := range r.drills {
		r.drill(n)
	}
	return r.finish(now)
}

func isRecord(a *Archive) bool { return a.Kind == record.Run || a.Kind == record.Drill }

// job returns a job, which is new if nothing is known of it yet.
func (r *reading) job(n name) *Job {
	if r.jobs[n] == nil {
		r.jobs[n] = &Job{Host: n.host, Name: n.job}
	}
	return r.jobs[n]
}

// record takes one record.
func (r *reading) record(a *Archive) {
	rec, err := record.Parse(a.Labels)
	if err != nil || !a.Counts {
		r.job(name{a.Host, strings.TrimPrefix(a.Job, a.Kind+" ")}).PassedOver++
		return
	}
	of := same{name{a.Host, a.Kind + " " + rec.Job}, rec.Archive, rec.Error, rec.Start, rec.End, rec.Outcome}
	if r.seen[of] {
		return
	}
	r.seen[of] = true
	c := clockOf(a, rec.End)
	n := Night{Record: rec, Host: a.Host, Recorded: true, clock: c, At: c.at}
	if a.Kind == record.Drill {
		n.Archive = r.byID[rec.Archive]
		r.drills = append(r.drills, n)
		return
	}
	j := r.job(name{a.Host, rec.Job})
	if made := r.byID[rec.Archive]; made != nil && made.Host == a.Host {
		if r.claimed[made.ID] {
			j.PassedOver++
			return
		}
		r.claimed[made.ID] = true
		n.Archive, n.At = made, made.Stored
	}
	j.Nights = append(j.Nights, n)
}

// unrecorded is the night of an archive without a record.
func unrecorded(a *Archive) Night {
	c := clockOf(a, a.End)
	n := Night{Host: a.Host, At: a.Stored, Archive: a, clock: c}
	n.Record = record.Record{Job: a.Job, Kind: a.Kind, Outcome: record.Done, Archive: a.ID, Start: a.Start, End: a.End}
	switch {
	case !a.Counts:
		n.Outcome, n.Exit, n.Error = record.Failed, 1, "the archive does not count"
	case !a.Complete:
		n.Outcome, n.Exit = record.Problems, 3
	}
	return n
}

// drill hands a drill to the job whose archive it was of; if that is gone, to the one that it names. One of no job that is known tells nothing.
func (r *reading) drill(n Night) {
	of := name{cmp.Or(n.Notes[DrilledHost], n.Host), n.Job}
	if n.Archive != nil {
		of = name{n.Archive.Host, n.Archive.Job}
	}
	j := r.jobs[of]
	if j == nil {
		return
	}
	if j.Drilled == nil || n.At.After(j.Drilled.At) {
		j.Drilled = &n
	}
	if n.Outcome == record.Done && n.Record.Archive != "" && (j.Proven == nil || n.At.After(j.Proven.At)) {
		j.Proven = &n
	}
}

// finish orders the nights, and sums each job up.
func (r *reading) finish(now time.Time) []Job {
	var all []Job
	for _, j := range r.jobs {
		if len(j.Nights) == 0 { // of which no record could be read
			n := Night{Host: j.Host, Record: record.Record{Job: j.Name, Outcome: record.Failed, Exit: 1, Error: "no record of this job can be read"}}
			j.Nights = append(j.Nights, n)
		}
		slices.SortStableFunc(j.Nights, func(a, b Night) int { return cmp.Or(a.At.Compare(b.At), a.End.Compare(b.End)) })
		j.sum(now)
		all = append(all, *j)
	}
	slices.SortFunc(all, func(a, b Job) int { return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Name, b.Name)) })
	return all
}

// sum fills in what follows from the nights.
func (j *Job) sum(now time.Time) {
	var success, scheduled *Night
	for i := range j.Nights {
		n := &j.Nights[i]
		j.Kind = cmp.Or(n.Kind, j.Kind)
		if n.Schedule != "" {
			scheduled = n
		}
		if n.Succeeded() && n.Notes[Ended] == "" && !n.At.After(now.Add(skew)) {
			success, j.Success = n, n.At
		}
	}
	j.Ended = j.Last().Notes[Ended] != ""
	if scheduled == nil {
		return
	}
	j.Schedule, j.Zone = scheduled.Schedule, scheduled.Zone
	if !j.Ended {
		j.plan(success, scheduled, now)
	}
}
