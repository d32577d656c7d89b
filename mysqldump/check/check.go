// Package check says what would break a backup or a replica of a server, before the first night.
//
// A rule looks at one thing, and returns findings: what it is, why it matters, and what to do, with the statement or the
// option to write. Rules stand in tables; a new one is an entry there.
//
// The invariant: nothing is passed over in silence. A rule whose question the server does not answer is a finding, too.
//
// The package changes nothing at a server, but for one thing: an SQL thread that a killed backup left stopped is started. That a statement works is known from what the account may do and what the server
// says of itself: a lock that is taken only under load, and a disk that fills tonight, are beyond it.
package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"nightjar/mysqldump/server"
)

// A Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Problem Severity = "problem" // a backup or a replica fails, or is not what it seems to be
	Warning Severity = "warning" // it works, until something happens
	Note    Severity = "note"    // worth knowing
)

// Rank returns 0 of the worst.
func (s Severity) Rank() int { return slices.Index([]Severity{Problem, Warning, Note}, s) }

// A Finding is one thing that was found.
type Finding struct {
	Name     string   `json:"name"` // of the rule, the same for ever: "log-bin-off"
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"` // the table, the account, ...; empty: the server
	Says     string   `json:"says"`             // what it is, and why it matters
	Do       string   `json:"do,omitempty"`     // statements and options to write; empty: nothing needs to be done
}

// A Purpose is what a server is to be good for.
type Purpose string

// The purposes.
const (
	Dump    Purpose = "dump"    // a logical dump
	Hot     Purpose = "hot"     // a physical copy, by the server's own program or plugin
	Binlog  Purpose = "binlog"  // an archive of the binary logs
	Replica Purpose = "replica" // a source of replicas
)

// Purposes are all purposes.
var Purposes = []Purpose{Dump, Hot, Binlog, Replica}

// Options say what to look for. The zero value looks at what the server says, for a dump every day and a replica.
type Options struct {
	For      []Purpose        // empty: Dump and Replica
	Every    time.Duration    // how often a backup is made; 0: a day
	Sessions int              // how many sessions a backup opens; 0: 8
	Long     time.Duration    // from when on a statement or a transaction is long; 0: 10 s
	History  uint64           // how many transactions undo may be kept for; 0: 1,000,000
	Notes    string           // the folder of what server.NotePaused noted; empty: none is looked for
	TempDir  string           // where scratch files go; empty: it is not looked at
	Path     string           // where programs are looked for, as PATH; empty: they are not looked at
	Env      []string         // the environment of programs
	Timeout  time.Duration    // for all together; 0: 5 minutes
	Now      func() time.Time // nil: time.Now
	// Free returns how many bytes of how many are free where a folder is; nil: as the kernel says.
	Free func(folder string) (free, total uint64, err error)
}

func (o Options) withDefaults() Options {
	if len(o.For) == 0 {
		o.For = []Purpose{Dump, Replica}
	}
	o.Every = cmp.Or(o.Every, 24*time.Hour)
	o.Sessions = cmp.Or(o.Sessions, 8)
	o.Long = cmp.Or(o.Long, 10*time.Second)
	o.History = cmp.Or(o.History, 1_000_000)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = free
	}
	return o
}

// is reports whether the server is to be good for one of the purposes.
func (o Options) is(purposes ...Purpose) bool {
	return slices.ContainsFunc(purposes, func(p Purpose) bool { return slices.Contains(o.For, p) })
}

// A rule looks at one thing. Names are filled in by who runs it.
type rule[T any] struct {
	name string
	of   []Purpose // empty: all
	look func(ctx context.Context, at T) ([]Finding, error)
}

// Run looks at a server, and returns what it finds, worst first. The error is of a server that cannot be asked.
func Run(ctx context.Context, srv *server.Server, o Options) ([]Finding, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	l, err := newLook(ctx, srv, o)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", srv.Address(), err)
	}
	defer l.Close()
	found, err := run(ctx, rules, l, o)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", srv.Address(), err)
	}
	return sorted(found), nil
}

func run[T any](ctx context.Context, rules []rule[T], at T, o Options) ([]Finding, error) {
	var all []Finding
	for _, r := range rules {
		if len(r.of) > 0 && !o.is(r.of...) {
			continue
		}
		found, err := r.look(ctx, at)
		switch {
		case err != nil && server.Number(err) == 0:
			return nil, err
		case err != nil:
			found = append(found, Finding{Severity: Warning, Says: r.name + " could not be looked at: " + err.Error(), Do: whenUnread(err)})
		}
		for _, f := range found {
			f.Name = r.name
			all = append(all, f)
		}
	}
	return all, nil
}

func whenUnread(err error) string {
	if server.Denied(err) {
		return "grant what is missing, and check again"
	}
	return ""
}

func sorted(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Severity.Rank(), b.Severity.Rank()) })
	return found
}

// one returns one finding about the server.
func one(s Severity, says, do string) ([]Finding, error) {
	return []Finding{{Severity: s, Says: says, Do: do}}, nil
}

// none is what a rule returns that finds nothing.
func none() ([]Finding, error) { return nil, nil }
