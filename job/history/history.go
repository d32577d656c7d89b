// Package history tells from a repository's archives what became of each job, night by night.
//
// It is a pure function of what a repository lists: archives, records of runs and of drills. It knows no repository; its callers hand over plain values, and the time.
//
// The invariant: a host speaks for its own jobs alone, whatever its records say, and when something was is told by the store's clock. A record that cannot be read, or that
// does not count, is passed over and counted. What a record claims to have made is a success only if the archive is there, counts, and is its host's.
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

// A Night is one run of a job, or one drill of its archives.
type Night struct {
	record.Record           // of an archive without a record: what the archive says, without a schedule
	Host          string    // that ran it: of a drill, it may be another than the job's
	At            time.Time // when it ended, by the store's clock
	Recorded      bool      // there is a record of it
	Archive       *Archive  // what it made, or proved; nil: nothing, or it is gone
	clock         clock
}

// Succeeded reports whether the run did what it was to do, with problems or without: of a run that made an archive, the archive is there and counts.
func (n *Night) Succeeded() bool {
	return n.Outcome != record.Failed && (n.Record.Archive == "" || n.Archive != nil && n.Archive.Counts)
}

// Duration returns how long the run took, by the host's clock; zero if that is not known.
func (n *Night) Duration() time.Duration {
	if n.Start.IsZero() || n.End.Before(n.Start) {
		return 0
	}
	return n.End.Sub(n.Start)
}

// A Job is all that is known of one job of one host.
type Job struct {
	Host, Name, Kind string
	Nights           []Night   // oldest first; never empty
	Success          time.Time // when the last successful one ended, by the store's clock; zero: never
	Schedule, Zone   string    // of the newest record that has a schedule; empty: none
	Due              time.Time // when it is due next, by that schedule; zero: not known
	Overdue          time.Time // when it is, or was, overdue; zero: never
	Ended            bool      // the newest record says that the job is no more: it is never overdue
	Drilled          *Night    // the last drill of its archives, however it ended; nil: none
	Proven           *Night    // the last one without problems; nil: none
	PassedOver       int       // records that could not be read, or did not count
}

// DrilledHost is the note of a drill's record that names the host of the archive; without it, that is the host that ran the drill.
const DrilledHost = "host"

// Ended is the note of a record that is the job's last, since the job was taken out of the job file. Its value is of no account, but not empty.
const Ended = "ended"

// Running is the note of a record that a service writes while it runs. Its value is of no account, but not empty.
const Running = "running"

// Running returns when a service began that had not ended by its newest record; zero: it had, or it is none.
func (j *Job) Running() time.Time {
	for i := len(j.Nights) - 1; i >= 0; i-- {
		if n := &j.Nights[i]; n.Recorded && n.Notes[Running] != "" {
			return n.Start
		} else if n.Recorded {
			break
		}
	}
	return time.Time{}
}

// Last returns the newest night.
func (j *Job) Last() *Night { return &j.Nights[len(j.Nights)-1] }

// Made returns the newest night whose archive is there; nil: there is none.
func (j *Job) Made() *Night {
	for i := len(j.Nights) - 1; i >= 0; i-- {
		if j.Nights[i].Archive != nil {
			return &j.Nights[i]
		}
	}
	return nil
}

// Failed reports whether the job's last run was none that succeeded.
func (j *Job) Failed() bool { return !j.Ended && !j.Last().Succeeded() }

// Late reports whether the job is overdue.
func (j *Job) Late(now time.Time) bool { return !j.Overdue.IsZero() && now.After(j.Overdue) }

// Position returns the place in the server's changes up to which the job's archives are proven, as mysqldump.Position writes it; empty: none.
func (j *Job) Position() string {
	switch {
	case j.Proven == nil:
		return ""
	case j.Proven.Notes["position"] != "":
		return j.Proven.Notes["position"]
	case j.Proven.Archive != nil:
		return j.Proven.Archive.Labels["position"]
	}
	return ""
}
