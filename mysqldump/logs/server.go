package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/server"
)

// serverSource asks a server for its logs, as a replica does.
type serverSource struct {
	srv  *server.Server
	dump *server.Dump // nil: none is open
	next string       // of the dump: the log that it goes on with, and what may follow a name; empty: it is elsewhere
}

// FromServer returns a Source that reads over the replication protocol. The account needs REPLICATION SLAVE and what SHOW
// BINARY LOGS asks for.
func FromServer(srv *server.Server) Source { return &serverSource{srv: srv} }

func (s *serverSource) Logs(ctx context.Context) (all []Log, err error) {
	c, err := s.srv.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	err = c.Query(ctx, "SHOW BINARY LOGS", func(row [][]byte) error {
		if len(row) < 2 {
			return errors.New("the list of binary logs has no sizes")
		}
		size, err := strconv.ParseUint(string(row[1]), 10, 64)
		all = append(all, Log{Name: string(row[0]), Size: size})
		return err
	})
	if err == nil && len(all) == 0 {
		err = server.ErrNoBinaryLog
	}
	if err != nil {
		return nil, fmt.Errorf("list binary logs of %s: %w", s.srv.Address(), err)
	}
	return all, nil
}

func (s *serverSource) Open(ctx context.Context, name string, at uint64) (Events, error) {
	if at > math.MaxUint32 {
		return nil, fmt.Errorf("read binary log %s: offset %d is more than the protocol can say", name, at)
	}
	if s.dump == nil || at != binlog.Start || !named(s.next, name) {
		s.Close()
		dump, err := s.srv.Dump(ctx, name, uint32(at))
		if err != nil {
			return nil, err
		}
		s.dump = dump
	}
	s.next = ""
	e := &serverEvents{source: s, name: name}
	if err := e.begin(at); err != nil {
		s.Close()
		return nil, fmt.Errorf("read binary log %s: %w", name, err)
	}
	return e, nil
}

// named reports whether what a Rotate says, with or without a checksum, is a log's name.
func named(said, name string) bool {
	return strings.HasPrefix(said, name) && (len(said) == len(name) || len(said) == len(name)+4)
}

func (s *serverSource) Close() error {
	if s.dump == nil {
		return nil
	}
	dump := s.dump
	s.dump, s.next = nil, ""
	return dump.Close()
}

type serverEvents struct {
	source *serverSource
	name   string
	first  []byte
	ahead  []byte // the first event is still to be handed over
	ended  bool
}

// begin reads up to the log's first event, which the server sends whatever the offset.
func (e *serverEvents) begin(at uint64) error {
	for {
		raw, err := e.source.dump.Next(binlog.MaxEvent)
		if err != nil {
			if err == io.EOF {
				err = errors.New("the server sends nothing of it")
			}
			return err
		}
		h, err := binlog.ParseHeader(raw)
		if err != nil {
			return err
		}
		switch {
		case h.Type == binlog.Rotate && h.Artificial():
			if said := string(raw[min(len(raw), 19+8):]); !named(said, e.name) {
				return fmt.Errorf("the server sends %q", said)
			}
		case h.Type == binlog.FormatDescription:
			e.first = append([]byte{}, raw...)
			if at == binlog.Start {
				e.ahead = e.first
			}
			return nil
		case !h.Artificial():
			return fmt.Errorf("%v comes before its format description", h.Type)
		}
	}
}

func (e *serverEvents) First() []byte { return e.first }

func (e *serverEvents) Next() ([]byte, error) {
	if e.ahead != nil {
		raw := e.ahead
		e.ahead = nil
		return raw, nil
	}
	for !e.ended {
		raw, err := e.source.dump.Next(binlog.MaxEvent)
		if err != nil {
			e.ended = err == io.EOF
			return nil, err
		}
		h, err := binlog.ParseHeader(raw)
		switch {
		case err != nil:
			return nil, err
		case h.Type == binlog.Rotate && h.Artificial():
			e.source.next = string(raw[min(len(raw), 19+8):])
			e.ended = true
		case !h.Artificial():
			return raw, nil
		}
	}
	return nil, io.EOF
}

func (e *serverEvents) Closed() bool { return e.ended && e.source.next != "" }

func (e *serverEvents) Close() error {
	if !e.ended {
		return e.source.Close()
	}
	return nil
}
