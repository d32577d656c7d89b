package check

import (
	"context"
	"fmt"
	"strings"

	"nightjar/mysqldump/filter"
	"nightjar/mysqldump/server"
)

func lookAtFilters(ctx context.Context, p pair) (found []Finding, err error) {
	f, unseen, err := filter.Read(ctx, p.replica.Session, p.replica.variables, p.replica.slave)
	if err != nil {
		return nil, err
	}
	d, err := p.replica.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	for _, option := range filter.Options {
		if len(f[option]) == 0 {
			continue
		}
		var lost []string
		for _, t := range p.source.tables {
			if !t.view && f.Lost(option, t.database, t.name) {
				lost = append(lost, t.String())
			}
		}
		finding := Finding{Severity: Warning, Object: option, Says: fmt.Sprintf("the replica has a filter, %s=%s, which meets no table of the source today", option, strings.Join(f[option], ","))}
		if len(lost) > 0 {
			const most = 5
			names := strings.Join(lost[:min(most, len(lost))], ", ")
			if len(lost) > most {
				names += ", ..."
			}
			finding.Severity = Problem
			finding.Says = fmt.Sprintf("the replica has a filter, %s=%s: it lacks all changes of %d tables (%s)", option, strings.Join(f[option], ","), len(lost), names)
		}
		finding.Do = "at the replica: " + noFilter(p.replica, d, option) + " and take " + option + " out of its option file"
		found = append(found, finding)
	}
	if unseen {
		found = append(found, Finding{Severity: Note, Says: "this server says which filters it has only once it is a replica", Do: "look for replicate-do and replicate-ignore in its option file, and check again when it replicates"})
	}
	return found, nil
}

func noFilter(l *look, d server.Dialect, option string) string {
	if l.mariadb() {
		return "STOP ALL SLAVES; SET GLOBAL " + option + "=''; START ALL SLAVES;"
	}
	return d.Stop("", "SQL_THREAD") + "; CHANGE REPLICATION FILTER " + strings.ToUpper(option) + "=(); " + d.Start("", "SQL_THREAD") + ";"
}
