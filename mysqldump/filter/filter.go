// Package filter says what a replica leaves out by its options.
//
// The invariant: a table is lost if any option keeps its changes out, as servers read each by itself.
package filter

import (
	"context"
	"slices"
	"strings"

	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// Filters are what a replica leaves out, by the name of the option: patterns of databases or tables.
type Filters map[string][]string

// Options are the names of the options, in lower case.
var Options = []string{"replicate_do_db", "replicate_ignore_db", "replicate_do_table", "replicate_ignore_table", "replicate_wild_do_table", "replicate_wild_ignore_table"}

func (f Filters) add(option, patterns string) {
	option = strings.ToLower(option)
	if !slices.Contains(Options, option) {
		return
	}
	for p := range strings.SplitSeq(patterns, ",") {
		p = strings.TrimSpace(strings.NewReplacer("`", "", "'", "").Replace(p))
		if p != "" && !slices.Contains(f[option], p) {
			f[option] = append(f[option], p)
		}
	}
}

// Read asks a server in each way that some server answers. unseen: none of them tells what the option file of this server says. It is
// given the server's global variables and its channels.
func Read(ctx context.Context, s *server.Session, variables map[string]string, channels []replica.Status) (f Filters, unseen bool, err error) {
	f = Filters{}
	for _, option := range Options {
		f.add(option, variables[option])
	}
	for _, c := range channels {
		for _, filter := range c.Filters {
			column, patterns, _ := strings.Cut(filter, ": ")
			f.add(column, patterns)
		}
	}
	if _, mariadb := variables["gtid_domain_id"]; mariadb {
		return f, false, nil
	}
	for _, t := range []string{"replication_applier_global_filters", "replication_applier_filters"} {
		err = s.Query(ctx, "SELECT FILTER_NAME, FILTER_RULE FROM performance_schema."+t, func(row [][]byte) error {
			f.add(string(row[0]), string(row[1]))
			return nil
		})
	}
	const noSuchTable = 1146
	if server.Number(err) == noSuchTable {
		return f, len(channels) == 0, nil
	}
	return f, false, err
}

// Lost reports whether a filter keeps changes of a table from a replica.
func (f Filters) Lost(option, database, table string) bool {
	name, matches := database+"."+table, false
	for _, p := range f[option] {
		switch {
		case strings.HasSuffix(option, "_db"):
			matches = matches || p == database
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
