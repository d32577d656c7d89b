package lock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump/server"
)

// waiting is what the servers call the state of a session that waits for a lock of ours.
var waiting = []string{
	"Waiting for backup lock", "Waiting for global read lock", "Waiting for commit lock", "Waiting for table flush",
}

// LongestWait returns for how long the session has waited that has waited longest for a backup, which began to lock as long
// ago as given; 0 if none does. Where the server counts whole seconds that is all that is known. Who waits to lock is not
// counted.
func LongestWait(ctx context.Context, c *server.Session, began time.Duration, except ...uint64) (time.Duration, error) {
	processes, err := c.Rows(ctx, "SELECT id, state, info, time_ms FROM information_schema.processlist")
	exact := err == nil
	if server.Number(err) != 0 { // no such column, or no such table
		processes, err = c.Rows(ctx, "SHOW PROCESSLIST")
	}
	if err != nil {
		return 0, err
	}
	var longest time.Duration
	for _, p := range processes {
		p = lowerNames(p)
		if id, _ := strconv.ParseUint(p["id"], 10, 64); slices.Contains(except, id) || !slices.Contains(waiting, p["state"]) || strings.HasPrefix(p["info"], "BACKUP STAGE") {
			continue
		}
		wait := began
		if ms, err := strconv.ParseFloat(p["time_ms"], 64); exact && err == nil {
			wait = min(wait, time.Duration(ms*float64(time.Millisecond)))
		}
		longest = max(longest, wait)
	}
	return longest, nil
}

// longStatement describes the statement that has run for longest, of those that hold the global read lock back and will for a
// while; empty if there is none. What it says is not shown.
func longStatement(ctx context.Context, c *server.Session, ours ...uint64) (string, error) {
	processes, err := c.Rows(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return "", err
	}
	longest, what := int64(0), ""
	for _, p := range processes {
		p = lowerNames(p)
		id, _ := strconv.ParseUint(p["id"], 10, 64)
		seconds, _ := strconv.ParseInt(p["time"], 10, 64)
		running := p["info"] != "" && p["command"] != "Sleep" // MySQL 5.7 lists sessions for a while that were killed and run nothing
		if running && seconds > longest && p["user"] != "system user" && !slices.Contains(ours, id) {
			longest = seconds
			what = fmt.Sprintf("a statement of %s in session %d runs since %d s (%s)", p["user"], id, seconds,
				cmp.Or(p["state"], "no state"))
		}
	}
	return what, nil
}

// history returns the length of the server's list of undo logs; -1 if the server does not say it. It fails without the privilege
// to see what others do, which processlists leave out silently.
func history(ctx context.Context, c *server.Session) (int64, error) {
	status, err := innodbStatus(ctx, c)
	if err != nil {
		return -1, err
	}
	if _, after, found := strings.Cut(status, "History list length "); found {
		digits, _, _ := strings.Cut(after, "\n")
		if length, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64); err == nil {
			return length, nil
		}
	}
	return -1, nil
}

// innodbStatus returns what InnoDB says of itself.
func innodbStatus(ctx context.Context, c *server.Session) (string, error) {
	rows, err := c.Rows(ctx, "SHOW ENGINE INNODB STATUS")
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0]["Status"], nil
}
