package replica

import "fmt"

// A StoppedError says that a replica stands still, and why.
type StoppedError struct {
	Channel string
	Thread  string  // IO or SQL; empty: it was stopped without an error
	Failure Failure // as the server says it; zero: it was stopped without an error
	Status  Status
}

func (e *StoppedError) Error() string {
	of := ""
	if e.Channel != "" {
		of = fmt.Sprintf(" of channel %q", e.Channel)
	}
	if e.Failure.IsZero() {
		return fmt.Sprintf("replication%s was stopped: IO thread %s, SQL thread %s", of, e.Status.IO, e.Status.SQL)
	}
	return fmt.Sprintf("the %s thread%s stands still: %s", e.Thread, of, e.Failure)
}
