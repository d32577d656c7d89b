package job

import (
	"time"

	"nightjar/job/record"
)

// A State is what a machine remembers of a job's last run. The zero value: there was none.
type State struct {
	For     time.Time      `json:"for"` // the time of the schedule that the run was for; zero: it was asked for
	Start   time.Time      `json:"start"`
	End     time.Time      `json:"end"`     // zero: it did not come to an end
	Success time.Time      `json:"success"` // when the last one ended that succeeded, with problems or without
	Outcome record.Outcome `json:"outcome"`
}

// A Decision says what is to become of a job now.
type Decision struct {
	Job    string
	Due    bool      // it is to run now
	For    time.Time // the time of the schedule that it is due for, or the one that it was last due for
	At     time.Time // that, after its random delay
	Next   time.Time // when it is due next; zero: never
	Reason string    // in words, such as "due since 03:00, and was missed"
}
