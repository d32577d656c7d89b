package check

import (
	"context"
	"fmt"
	"strings"
)

func channelName(row map[string]string) string {
	if name := row["Connection_name"] + row["Channel_Name"]; name != "" {
		return "channel " + name
	}
	return ""
}

// lookAtSlave says of a server that is a slave itself what keeps it from being one.
func lookAtSlave(ctx context.Context, l *look) (found []Finding, err error) {
	if l.slaveErr != nil {
		return nil, l.slaveErr
	}
	d, err := l.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range l.slave {
		var stopped, failed []string
		for _, thread := range []string{"IO", "SQL"} {
			if row["Slave_"+thread+"_Running"] == "No" {
				stopped = append(stopped, thread)
			}
			if text := row["Last_"+thread+"_Error"]; text != "" {
				failed = append(failed, fmt.Sprintf("error %s: %s", row["Last_"+thread+"_Errno"], text))
			}
		}
		start := d.Start(row["Connection_name"]+row["Channel_Name"], "") + ";"
		f := Finding{Severity: Problem, Object: channelName(row), Do: start}
		of := fmt.Sprintf("the slave of %s:%s", row["Master_Host"], row["Master_Port"])
		switch {
		case len(failed) > 0:
			f.Says = of + " does not follow it: " + strings.Join(failed, "; ")
			f.Do = "mend what it says, then " + start
		case len(stopped) > 0:
			f.Says = of + " was stopped (" + strings.Join(stopped, " and ") + " thread), and nothing failed: somebody left it so. What is dumped here is as old as that"
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
	if len(l.slave) == 0 || l.on(option) {
		return none()
	}
	severity := Warning
	if l.o.is(Replica, Binlog) {
		severity = Problem
	}
	return one(severity, option+" is off on a slave: what it replicates is not in its own binary log, so that its own replicas, and an archive of its logs, lack nearly everything", restart(option+"=ON"))
}

func lookAtEvents(ctx context.Context, l *look) ([]Finding, error) {
	if len(l.slave) == 0 || !l.on("event_scheduler") {
		return none()
	}
	var names []string
	err := l.Query(ctx, "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE STATUS='ENABLED' AND EVENT_SCHEMA NOT IN "+own+" ORDER BY 1, 2", func(row [][]byte) error {
		names = append(names, table{database: string(row[0]), name: string(row[1])}.quoted())
		return nil
	})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var found []Finding
	for _, name := range names {
		found = append(found, Finding{Severity: Warning, Object: strings.ReplaceAll(name, "`", ""), Says: "the event runs on this slave too, and changes rows that the source changes itself", Do: "ALTER EVENT " + name + " DISABLE ON SLAVE;"})
	}
	return found, nil
}
