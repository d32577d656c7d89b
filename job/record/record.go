// Package record has what is kept in the repository of each run of a job and of each drill: how it ended, when the next is due.
//
// It is an archive without files, of kind Run or Drill, whose labels say all. So every host that reads the repository knows of every job's nights, also of those that made no
// archive; and what reads it needs no other place. Labels are hostile: Parse bounds and checks them.
package record

import (
	"time"
)

// Kinds of the archives.
const (
	Run   = "run"
	Drill = "drill"
)

// IsKind reports whether an archive of that kind is a record, which has no files.
func IsKind(kind string) bool { return kind == Run || kind == Drill }

// An Outcome is how a run ended.
type Outcome string

const (
	Done     Outcome = "done"
	Problems Outcome = "problems" // an archive was made, and something is wrong with it: exit code 3
	Failed   Outcome = "failed"
)

// A Record is one run of a job, or one drill.
type Record struct {
	Job      string // its name in the job file
	Kind     string // of the job: files, mysql-dump, …
	Outcome  Outcome
	Exit     int    // the exit code
	Error    string // the last error, in words; at most MaxError bytes
	Archive  string // id of the archive that was made, or proven by a drill; empty: none
	Start    time.Time
	End      time.Time
	Due      time.Time         // when it was to run; zero: it was asked for
	Schedule string            // expression of cron; empty: none
	Zone     string            // name of the zone that the schedule is meant in
	Overdue  time.Time         // when, without another success, the job is overdue; zero: never
	Figures  map[string]uint64 // what was measured, by the names that --json uses: lock_milliseconds, bytes, …
	Notes    map[string]string // what else is told, such as position; names begin with no "run."
}

// MaxError is how many bytes of an error are kept.
const MaxError = 1000

// Prefix is that of all labels which a Record makes; those of Notes have none.
const Prefix = "run."
