package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/server"
)

// DisableEvents disables the events that would run at a replica beside those of its source, out of the binary log. It returns how many.
func DisableEvents(ctx context.Context, s *server.Session) (disabled int, err error) {
	events, err := s.Rows(ctx, "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE STATUS='ENABLED'")
	if err != nil || len(events) == 0 {
		return 0, err
	}
	if err := s.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil {
		return 0, err
	}
	for _, e := range events {
		user, host := e["DEFINER"], ""
		if i := strings.LastIndexByte(user, '@'); i >= 0 {
			user, host = user[:i], user[i+1:]
		}
		alter := fmt.Sprintf("ALTER DEFINER=%s@%s EVENT %s.%s DISABLE ON ", // else the definer would be who runs it
			server.Quote(user), server.Quote(host), server.Quote(e["EVENT_SCHEMA"]), server.Quote(e["EVENT_NAME"]))
		err := s.Exec(ctx, alter+"REPLICA")
		if unknown(err) {
			err = s.Exec(ctx, alter+"SLAVE")
		}
		if err != nil {
			return disabled, err
		}
		disabled++
	}
	return disabled, s.Exec(ctx, "SET SESSION sql_log_bin=1")
}

// advise says what of the replica's own settings makes it weaker than it may be.
func (l *link) advise(ctx context.Context, gtid bool) (warnings []string, err error) {
	rows, err := l.Rows(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('relay_log','relay_log_recovery','log_slave_updates','log_replica_updates','hostname')")
	values := map[string]string{}
	for _, row := range rows {
		values[strings.ToLower(row["Variable_name"])] = row["Value"]
	}
	if name := values["relay_log"]; name == "" || strings.HasPrefix(name, values["hostname"]+"-relay-bin") {
		warnings = append(warnings, "relay logs are named after the host: set relay_log, or a new host name breaks the replica")
	}
	if values["relay_log_recovery"] == "OFF" && !(l.mariaDB && gtid) {
		warnings = append(warnings, "relay_log_recovery is OFF: after a crash the replica may go on with a damaged relay log")
	}
	if values["log_slave_updates"]+values["log_replica_updates"] == "OFF" {
		warnings = append(warnings, "log_slave_updates is OFF: no other server can replicate from this one what it replicates")
	}
	status, _, err1 := l.status(ctx)
	for _, filter := range status.Filters {
		warnings = append(warnings, "it has a filter, and lacks the changes that this leaves out: "+filter)
	}
	return warnings, errors.Join(err, err1)
}
