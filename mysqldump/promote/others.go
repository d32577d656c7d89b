package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// An Other is another replica of the master until now, and what it has to be told.
type Other struct {
	Address    string
	Statements []string
	Problem    string // why it cannot follow the new master; empty: it can
}

// Tell says what other replicas have to be told after Run, in their own words: those of Options.Others. They follow GTIDs as they
// did, or file and offset: then they go to where the new master stood first. Without Options.Others it is said once, of any replica
// that follows as the new master did. Before Run, with the zero Promoted, positions are left open.
// An error names those that could not be asked; the others are told all the same.
func (p *Plan) Tell(ctx context.Context, done Promoted) ([]Other, error) {
	var all []Other
	if len(p.o.Others) == 0 {
		o := Other{Address: "each other replica"}
		status := p.Status
		status.Executed = mysqldump.Position{}
		p.change(&o, p.words, status, done)
		return []Other{o}, nil
	}
	var failed []error
	for _, s := range p.o.Others {
		o, err := p.tell(ctx, s, done)
		if err != nil {
			failed = append(failed, fmt.Errorf("find out what %s has to be told: %w", s.Address(), err))
			continue
		}
		all = append(all, o)
	}
	return all, errors.Join(failed...)
}

func (p *Plan) tell(ctx context.Context, s *server.Server, done Promoted) (o Other, err error) {
	o.Address = s.Address()
	c, err := s.Connect(ctx)
	if err != nil {
		return o, err
	}
	defer c.Close()
	d, err := c.Dialect(ctx)
	if err != nil {
		return o, err
	}
	channels, err := replica.Channels(ctx, c)
	if err != nil {
		return o, err
	}
	for _, status := range channels {
		if status.Host != p.Status.Host || status.Port != p.Status.Port {
			continue
		}
		p.change(&o, d, status, done)
		if status.Channel == "" && len(channels) > 1 && !d.Connection {
			for i := range o.Statements {
				o.Statements[i] += " FOR CHANNEL ''"
			}
		}
		return o, nil
	}
	o.Problem = fmt.Sprintf("it does not replicate from %s:%d", p.Status.Host, p.Status.Port)
	return o, nil
}

func (p *Plan) change(o *Other, d server.Dialect, status replica.Status, done Promoted) {
	at := func(prefix string, file string, offset uint64) string {
		if done.Steps == 0 {
			return fmt.Sprintf("%s_LOG_FILE='…', %s_LOG_POS=…", prefix, prefix)
		}
		return fmt.Sprintf("%s_LOG_FILE=%s, %s_LOG_POS=%d", prefix, server.Literal(file), prefix, offset)
	}
	until := func() {
		o.Statements = append(o.Statements, d.Stop(status.Channel, "SQL_THREAD"),
			d.Start(status.Channel, "SQL_THREAD UNTIL "+at(d.Source, done.Executed.File, done.Executed.Offset)))
	}
	words := []string{fmt.Sprintf("%s_HOST=%s", d.Source, server.Literal(p.o.Host)), fmt.Sprintf("%s_PORT=%d", d.Source, p.o.Port)}
	switch {
	case status.GTID && d.Connection:
		words = append(words, d.Source+"_USE_GTID=slave_pos")
	case status.GTID:
		words = append(words, d.Source+"_AUTO_POSITION=1")
	case done.Steps > 0 && done.Position.File == "":
		o.Problem = "the new master has no binary log"
		return
	case done.Steps == 0 || status.Executed.File == "": // where it stands is not known
		words = append(words, at(d.Source, done.Position.File, done.Position.Offset))
		until()
	default:
		words = append(words, at(d.Source, done.Position.File, done.Position.Offset))
		if order, err := status.Executed.CompareFiles(done.Executed); err != nil || order > 0 {
			o.Problem = fmt.Sprintf("it has executed %s:%d of the master until now, the new one only %s:%d: it must be set up anew",
				status.Executed.File, status.Executed.Offset, done.Executed.File, done.Executed.Offset)
			return
		} else if order < 0 {
			until()
		}
	}
	verb, end := d.ChangeSource, ""
	if status.Channel != "" && d.Connection {
		verb = strings.Replace(verb, " TO", " "+server.Literal(status.Channel)+" TO", 1)
	} else if status.Channel != "" {
		end = " FOR CHANNEL " + server.Literal(status.Channel)
	}
	o.Statements = append(o.Statements, d.Stop(status.Channel, ""), verb+" "+strings.Join(words, ", ")+end, d.Start(status.Channel, ""))
}
