// Package history tells from a repository's archives what became of each job, night by night.
//
// It is a pure function of what a repository lists: archives, records of runs and of drills. It knows no repository; its callers hand over plain values, and the time.
package history

import (
	"time"

	"nightjar/job/record"
)

// An Archive is what a repository lists of one.
type Archive struct {
	ID, Host, Job, Kind string
	Source              string // the paths or the stream, in words
	Labels              map[string]string
	Statistics          map[string]uint64 // by the names of backup.Statistics.Map
	Start, End          time.Time         // by the host's clock
	Stored              time.Time         // by the store's
	Complete, Counts    bool
	Forgotten           time.Time // zero: it is kept
}

// A Night is one run of a job.
type Night struct {
	record.Record
	Archive *Archive // what it made; nil: nothing, or it is gone
}

// A Job is all that is known of one job of one host.
type Job struct {
	Host, Name, Kind string
	Nights           []Night   // oldest first
	Success          time.Time // when the last successful one ended, by the store's clock; zero: never
	Overdue          time.Time // when it is, or was, overdue; zero: never
	Proven           *Night    // the last successful drill of its archives; nil: none
}

// Late reports whether the job is overdue.
func (j *Job) Late(now time.Time) bool { return !j.Overdue.IsZero() && now.After(j.Overdue) }
