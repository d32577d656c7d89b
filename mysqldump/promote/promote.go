// Package promote makes a replica the master: it says which steps that takes, and runs them.
//
// With the master until now at hand, that is stopped from writing first and nothing is lost. Without it, all that the replica has
// received is executed before it lets go.
//
// The invariant: a plan changes nothing, and says every statement that Run will run. Only those events are enabled that are known
// to have been enabled at the master; the others are named. What other replicas have to be told is said, not done.
package promote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// Options say how to promote.
type Options struct {
	Channel string
	// Source is the master until now; nil: it is not there, or not to be asked.
	Source *server.Server
	// Others are other replicas of the source.
	Others []*server.Server
	// Host and Port are how other replicas reach the new master; empty or 0: as it calls itself.
	Host string
	Port int
	// AllEvents enables all events that replication has disabled, whatever they were at the source.
	AllEvents bool
	// Limit bounds each wait; 0: 10 minutes.
	Limit time.Duration
}

// A Plan is what it takes to promote a replica.
type Plan struct {
	Status   replica.Status
	Steps    []Step
	Enable   []Event  // those that Run enables
	Left     []Event  // those that stay disabled, and why
	Warnings []string // what a person should know before

	server *server.Server
	o      Options
	new    server.Identity
	words  server.Dialect
	alone  string // ends MySQL's statements about the channel without a name, which would be about all; empty: it is the only one
}

// A Step is a statement, or a wait.
type Step struct {
	What      string // in a few words
	Statement string // empty: it waits, or reads
	AtSource  bool   // it is for the master until now
	run       func(r *running, ctx context.Context) error
}

// An Event is one that the replica does not run.
type Event struct {
	Database, Name, Definer string
	Why                     string // why it stays disabled; empty: it is enabled
}

func (e Event) statement() string {
	user, host := e.Definer, ""
	if i := strings.LastIndexByte(e.Definer, '@'); i >= 0 {
		user, host = e.Definer[:i], e.Definer[i+1:]
	}
	// Without its definer, it would be that of whom runs the statement.
	return fmt.Sprintf("ALTER DEFINER=%s@%s EVENT %s.%s ENABLE", server.Quote(user), server.Quote(host), server.Quote(e.Database), server.Quote(e.Name))
}

// New looks at a replica and plans.
func New(ctx context.Context, s *server.Server, o Options) (*Plan, error) {
	if o.Limit == 0 {
		o.Limit = 10 * time.Minute
	}
	p := &Plan{server: s, o: o}
	if err := p.look(ctx); err != nil {
		return nil, fmt.Errorf("plan to promote %s: %w", s.Address(), err)
	}
	return p, nil
}

func (p *Plan) look(ctx context.Context) error {
	c, err := p.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if p.new, err = c.Identity(ctx); err != nil {
		return err
	}
	if p.words, err = c.Dialect(ctx); err != nil {
		return err
	}
	if err := p.findChannel(ctx, c); err != nil {
		return err
	}
	if p.o.Host == "" {
		p.o.Host = p.new.Hostname
	}
	if p.o.Port == 0 {
		p.o.Port = int(p.new.Port)
	}
	if err := p.findEvents(ctx, c); err != nil {
		return err
	}
	readOnly, err := p.readOnly(ctx, c)
	if err != nil {
		return err
	}
	p.plan(readOnly)
	return nil
}

func (p *Plan) findChannel(ctx context.Context, c *server.Session) error {
	all, err := replica.Channels(ctx, c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s replica.Status) bool { return s.Channel == p.o.Channel })
	switch {
	case i < 0 && len(all) == 0:
		return replica.ErrNoReplica
	case i < 0:
		return fmt.Errorf("%w of channel %q", replica.ErrNoReplica, p.o.Channel)
	case len(all) > 1:
		p.alone = " FOR CHANNEL ''"
		p.Warnings = append(p.Warnings, fmt.Sprintf("it goes on replicating by %d more channels", len(all)-1))
	}
	p.Status = all[i]
	if s := p.Status; s.SQL != "Yes" {
		failure := s.SQLError
		thread := "SQL"
		if failure.IsZero() {
			thread = ""
		}
		return &replica.StoppedError{Channel: s.Channel, Thread: thread, Failure: failure, Status: s}
	}
	if s := p.Status; s.Delay > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("it stays %s behind on purpose", s.Delay))
	}
	row, err := c.Row(ctx, "SELECT @@GLOBAL.log_bin")
	if err == nil && string(row[0]) != "1" {
		p.Warnings = append(p.Warnings, "it writes no binary log (log_bin), so that nobody can replicate from it")
	}
	return err
}

// readOnly returns those of the variables that are on.
func (p *Plan) readOnly(ctx context.Context, c *server.Session) (on []string, err error) {
	rows, err := c.Rows(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only')")
	for _, row := range rows {
		if value := strings.ToUpper(row["Value"]); value != "OFF" && value != "0" {
			on = append(on, row["Variable_name"])
		}
	}
	slices.Sort(on)
	slices.Reverse(on) // super_read_only first
	return on, err
}

const disabledEvents = "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER, ORIGINATOR FROM information_schema.EVENTS WHERE STATUS LIKE '%SIDE_DISABLED' ORDER BY 1, 2"

// findEvents finds out which events were enabled at the source: by asking it, or by who disabled them. A restore disables those
// that the archive has enabled, in this server's name; replication disables those too that are disabled at the source.
func (p *Plan) findEvents(ctx context.Context, c *server.Session) error {
	here, err := c.Rows(ctx, disabledEvents)
	if err != nil || len(here) == 0 {
		return err
	}
	var there map[string]string
	if p.o.Source != nil {
		source, err := p.o.Source.Connect(ctx)
		if err != nil {
			return err
		}
		defer source.Close()
		rows, err := source.Rows(ctx, "SELECT EVENT_SCHEMA, EVENT_NAME, STATUS FROM information_schema.EVENTS")
		if err != nil {
			return err
		}
		there = map[string]string{}
		for _, row := range rows {
			there[row["EVENT_SCHEMA"]+"\x00"+row["EVENT_NAME"]] = row["STATUS"]
		}
	}
	for _, row := range here {
		e := Event{Database: row["EVENT_SCHEMA"], Name: row["EVENT_NAME"], Definer: row["DEFINER"]}
		status := there[e.Database+"\x00"+e.Name]
		switch {
		case p.o.AllEvents || status == "ENABLED":
		case status != "":
			e.Why = "at the source it is " + strings.ToLower(status)
		case there != nil:
			e.Why = "the source does not have it"
		case row["ORIGINATOR"] != fmt.Sprint(p.new.ServerID):
			e.Why = "whether it was enabled at the source is not known"
		}
		if e.Why == "" {
			p.Enable = append(p.Enable, e)
		} else {
			p.Left = append(p.Left, e)
		}
	}
	return nil
}

func (p *Plan) plan(readOnly []string) {
	statement := func(what, statement string) {
		p.Steps = append(p.Steps, Step{What: what, Statement: statement, run: func(r *running, ctx context.Context) error {
			return r.c.Exec(ctx, statement)
		}})
	}
	if p.o.Source != nil {
		p.Steps = append(p.Steps,
			Step{What: "stop writing at the master until now", Statement: "SET GLOBAL read_only=1", AtSource: true, run: (*running).closeSource},
			Step{What: "wait until the replica has executed all that the master wrote", run: (*running).waitForSource})
	}
	statement("stop receiving", p.words.Stop(p.o.Channel, "IO_THREAD")+p.end())
	p.Steps = append(p.Steps, Step{What: "wait until all that was received has been executed", run: (*running).waitForRelay})
	statement("stop executing", p.words.Stop(p.o.Channel, "")+p.end())
	p.Steps = append(p.Steps, Step{What: "note the positions for other replicas", run: (*running).notePositions})
	statement("forget the source", p.forget())
	for _, name := range readOnly {
		statement("allow writing", "SET GLOBAL "+name+"=0")
	}
	for _, e := range p.Enable {
		statement("enable an event", e.statement())
	}
}

func (p *Plan) forget() string {
	s := "RESET " + p.words.Replica
	if p.o.Channel != "" && p.words.Connection {
		s += " " + server.Literal(p.o.Channel)
	}
	s += " ALL"
	if p.o.Channel != "" && !p.words.Connection {
		s += " FOR CHANNEL " + server.Literal(p.o.Channel)
	}
	return s + p.end()
}

func (p *Plan) end() string {
	if p.o.Channel != "" || p.words.Connection {
		return ""
	}
	return p.alone
}

// A Promoted is what Run did.
type Promoted struct {
	Steps    int                // that were run
	Position mysqldump.Position // of the new master's own binary log, before anybody wrote there
	Executed mysqldump.Position // up to where it has executed its source's
}
