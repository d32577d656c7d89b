package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/account"
)

// A need is a privilege, by the names that servers have for it, the newest first.
type need struct {
	names []string
	why   string
	of    []Purpose
	slave bool // only of a server that is a slave
	mysql bool // only of one of MySQL's family
	// unless is a privilege that is asked for in the place of this one where the server knows it.
	unless string
}

var needs = []need{
	{names: []string{"SELECT"}, why: "read rows and accounts", of: []Purpose{Dump}},
	{names: []string{"SELECT"}, why: "see which tables no clone has, and how far a clone is", of: []Purpose{Hot}, mysql: true},
	{names: []string{"RELOAD"}, why: "take the short lock", of: []Purpose{Dump}},
	{names: []string{"RELOAD"}, why: "hold commits back for a moment", of: []Purpose{Hot}, unless: "BACKUP_ADMIN"},
	{names: []string{"PROCESS"}, why: "see what runs, and which table is which", of: []Purpose{Dump, Hot}},
	{names: []string{"LOCK TABLES"}, why: "lock non-transactional tables", of: []Purpose{Dump}},
	{names: []string{"SHOW VIEW"}, why: "read views", of: []Purpose{Dump}},
	{names: []string{"EVENT"}, why: "read events", of: []Purpose{Dump}},
	{names: []string{"TRIGGER"}, why: "read triggers", of: []Purpose{Dump}},
	{names: []string{"BACKUP_ADMIN"}, why: "hold back DDL", of: []Purpose{Dump, Hot}},
	{names: []string{"BINLOG MONITOR", "REPLICATION CLIENT"}, why: "read the position", of: Purposes},
	{names: []string{"SLAVE MONITOR", "REPLICA MONITOR", "REPLICATION CLIENT"}, why: "see whether the server is a slave", of: Purposes},
	{names: []string{"REPLICATION SLAVE"}, why: "read binary logs", of: []Purpose{Binlog, Replica}},
	{names: []string{"REPLICATION SLAVE ADMIN", "REPLICATION_SLAVE_ADMIN", "SUPER"}, why: "stop the slave's SQL thread for the moment of the snapshot", of: []Purpose{Dump}, slave: true},
}

// lookAtPrivileges names what the account lacks, and the statement that gives it.
func lookAtPrivileges(ctx context.Context, l *look) ([]Finding, error) {
	known, err := account.Known(ctx, l.Session)
	if err != nil {
		return nil, err
	}
	var missing, why []string
	for _, n := range needs {
		i := slices.IndexFunc(n.names, func(name string) bool { return slices.Contains(known, name) })
		if !l.o.is(n.of...) || i < 0 || n.slave && len(l.slave) == 0 || n.mysql && l.mariadb() || slices.Contains(known, n.unless) || l.grants.Has(n.names[i]) {
			continue
		}
		if !slices.Contains(missing, n.names[i]) {
			missing = append(missing, n.names[i])
		}
		why = append(why, fmt.Sprintf("%s to %s", n.names[i], n.why))
	}
	if len(missing) == 0 {
		return none()
	}
	do := fmt.Sprintf("GRANT %s ON *.* TO %s;", strings.Join(missing, ", "), account.Quote(l.account))
	if len(l.grants.Roles) > 0 {
		do += " (or, if one of the roles that it was granted has them, make that its default: " + strings.Join(l.grants.Roles, ", ") + ")"
	}
	return []Finding{{Severity: Problem, Object: l.account, Says: "the account lacks " + strings.Join(why, "; ") + ". What it may not see, this check does not see either", Do: do}}, nil
}
