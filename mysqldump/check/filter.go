package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/server"
)

// filters are what a replica leaves out, by the name of the option: patterns of databases or tables.
type filters map[string][]string

var filterOptions = []string{"replicate_do_db", "replicate_ignore_db", "replicate_do_table", "replicate_ignore_table", "replicate_wild_do_table", "replicate_wild_ignore_table"}

func (f filters) add(option, patterns string) {
	option = strings.ToLower(option)
	if !slices.Contains(filterOptions, option) {
		return
	}
	for p := range strings.SplitSeq(patterns, ",") {
		p = strings.TrimSpace(strings.NewReplacer("`", "", "'", "").Replace(p))
		if p != "" && !slices.Contains(f[option], p) {
			f[option] = append(f[option], p)
		}
	}
}

// filters asks in each way that some server answers. unseen: none of them tells what the option file of this server says.
func (l *look) filters(ctx context.Context) (f filters, unseen bool, err error) {
	f = filters{}
	for _, option := range filterOptions {
		f.add(option, l.variables[option])
	}
	for _, s := range l.slave {
		for _, filter := range s.Filters {
			column, patterns, _ := strings.Cut(filter, ": ")
			f.add(column, patterns)
		}
	}
	if l.mariadb() {
		return f, false, nil
	}
	for _, t := range []string{"replication_applier_global_filters", "replication_applier_filters"} {
		err = l.Query(ctx, "SELECT FILTER_NAME, FILTER_RULE FROM performance_schema."+t, func(row [][]byte) error {
			f.add(string(row[0]), string(row[1]))
			return nil
		})
	}
	const noSuchTable = 1146
	if server.Number(err) == noSuchTable {
		return f, len(l.slave) == 0, nil
	}
	return f, false, err
}

// lost reports whether a filter keeps changes of a table from a replica.
func (f filters) lost(option string, t table) bool {
	name, matches := t.String(), false
	for _, p := range f[option] {
		switch {
		case strings.HasSuffix(option, "_db"):
			matches = matches || p == t.database
		case strings.Contains(option, "_wild_"):
			matches = matches || like(p, name)
		default:
			matches = matches || p == name
		}
	}
	if strings.Contains(option, "_do_") {
		return !matches
	}
	return matches
}

// like reports whether a name matches a pattern of SQL: % is any characters, _ is one, and a backslash takes what follows as it is.
func like(pattern, name string) bool {
	type part struct {
		any, one bool
		is       byte
	}
	var parts []part
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%':
			parts = append(parts, part{any: true})
		case c == '_':
			parts = append(parts, part{one: true})
		case c == '\\' && i+1 < len(pattern):
			i++
			parts = append(parts, part{is: pattern[i]})
		default:
			parts = append(parts, part{is: c})
		}
	}
	at, back, from := 0, -1, 0 // back: after the last %, which has taken name up to from
	for i := 0; i < len(name); {
		switch {
		case at < len(parts) && parts[at].any:
			at++
			back, from = at, i
		case at < len(parts) && (parts[at].one || parts[at].is == name[i]):
			at++
			i++
		case back >= 0:
			from++
			at, i = back, from
		default:
			return false
		}
	}
	for at < len(parts) && parts[at].any {
		at++
	}
	return at == len(parts)
}

func lookAtFilters(ctx context.Context, p pair) (found []Finding, err error) {
	f, unseen, err := p.replica.filters(ctx)
	if err != nil {
		return nil, err
	}
	d, err := p.replica.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	for _, option := range filterOptions {
		if len(f[option]) == 0 {
			continue
		}
		var lost []string
		for _, t := range p.source.tables {
			if !t.view && f.lost(option, t) {
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
