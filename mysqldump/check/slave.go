package check

import (
	"context"
	"fmt"
	"strings"

	"nightjar/mysqldump/advice"
	"nightjar/mysqldump/replica"
)

func channelName(s replica.Status) string {
	if s.Channel != "" {
		return "channel " + s.Channel
	}
	return ""
}

// lookAtSlave says what keeps a server that is a slave from following its source. A thread that we had stopped when we were
// killed is started.
func lookAtSlave(ctx context.Context, l *look) (found []Finding, err error) {
	if l.slaveErr != nil {
		return nil, l.slaveErr
	}
	for _, name := range l.resumed {
		found = append(found, Finding{Severity: Note, Object: channelName(replica.Status{Channel: name}), Says: "a backup that was killed had left the SQL thread stopped; it was started again now"})
	}
	d, err := l.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range l.slave {
		f := Finding{Severity: Problem, Object: channelName(s)}
		of := fmt.Sprintf("the slave of %s:%d", s.Host, s.Port)
		start := d.Start(s.Channel, "") + ";"
		failure := s.SQLError
		if failure.IsZero() {
			failure = s.IOError
		}
		switch {
		case !failure.IsZero():
			f.Says, f.Do = of+" does not follow it: "+failure.String(), start
			if a, ok := advice.For(failure.Number, failure.Text); ok {
				f.Says += ": " + a.Problem
				f.Do = strings.TrimSuffix(a.Do, ".") + ". Then: " + start
			}
		case s.IO == "No" || s.SQL == "No":
			f.Says = fmt.Sprintf("%s was stopped (IO thread: %s, SQL thread: %s), and nothing failed: somebody left it so. What is dumped here is as old as that", of, s.IO, s.SQL)
			f.Do = start
		default:
			continue
		}
		found = append(found, f)
	}
	return found, nil
}

func lookAtSlaveLogs(_ context.Context, l *look) ([]Finding, error) {
	option := "log_slave_updates"
	if !l.has(option) {
		option = "log_replica_updates"
	}
	if len(l.slave) == 0 || l.on(option) || !l.on("log_bin") { // of none at all another rule tells
		return none()
	}
	severity := Warning
	if l.o.is(Replica, Binlog) {
		severity = Problem
	}
	return one(severity, option+" is off on a slave: what it replicates is not in its own binary log, so that its own replicas, and an archive of its logs, lack nearly everything", restart(option+"=ON"))
}

func lookAtEvents(ctx context.Context, l *look) (found []Finding, err error) {
	if len(l.slave) == 0 || !l.on("event_scheduler") {
		return none()
	}
	err = l.Query(ctx, "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE STATUS='ENABLED' AND EVENT_SCHEMA NOT IN "+own+" ORDER BY 1, 2", func(row [][]byte) error {
		e := table{database: string(row[0]), name: string(row[1])}
		found = append(found, Finding{Severity: Warning, Object: e.String(), Says: "the event runs on this slave too, and changes rows that the source changes itself", Do: "ALTER EVENT " + e.quoted() + " DISABLE ON SLAVE;"})
		return nil
	})
	return found, err
}
