package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// PauseOptions say whom to stop.
type PauseOptions struct {
	Channel string
	// Folder is where a note is kept while the SQL thread stands; empty: nowhere, so that nobody finds it after we were killed.
	Folder string
}

// A Paused is a channel whose SQL thread was stopped for a moment. It has to be resumed.
type Paused struct {
	// Status is as it was before.
	Status Status
	// Others is how many more channels the replica has, which go on.
	Others int

	server *server.Server
	link   *link
	note   *server.PauseNote
	state  server.Paused
}

// Pause stops the SQL thread of a replica that runs. What does not run is a StoppedError, and left as it is.
func Pause(ctx context.Context, s *server.Server, o PauseOptions) (*Paused, error) {
	l, err := connect(ctx, s, o.Channel)
	if err != nil {
		return nil, err
	}
	p := &Paused{server: s, link: l}
	if err = p.stop(ctx, o); err != nil {
		l.Close()
		return nil, err
	}
	return p, nil
}

// Session is a session with the replica.
func (p *Paused) Session() *server.Session { return p.link.Session }

func (p *Paused) stop(ctx context.Context, o PauseOptions) error {
	id, err := p.link.Identity(ctx)
	if err != nil {
		return err
	}
	status, found, err := p.link.status(ctx)
	switch {
	case err != nil:
		return err
	case !found:
		return p.link.noChannel(p.server.Address())
	case !status.Runs():
		thread, failure := "SQL", status.SQLError
		if failure.IsZero() {
			thread, failure = "IO", status.IOError
		}
		return &StoppedError{status.Channel, thread, failure, status}
	}
	p.Status, p.Others = status, p.link.others
	p.state = server.Paused{Hostname: id.Hostname, Port: id.Port, ServerID: id.ServerID, UUID: id.ServerUUID, Channel: o.Channel, From: status.Executed}
	if p.note, err = server.NotePaused(o.Folder, p.state); err != nil {
		return err
	}
	if err := p.link.about(ctx, "STOP REPLICA SQL_THREAD"); err != nil {
		return errors.Join(err, p.Resume(ctx))
	}
	if status, _, err = p.link.status(ctx); err == nil {
		p.state.From = status.Executed // where it stands by now
		err = p.note.Change(p.state)
	}
	if err != nil {
		return errors.Join(err, p.Resume(ctx))
	}
	return nil
}

// GoTo lets the thread go on to a position of the source, and no further, for at most the limit.
func (p *Paused) GoTo(ctx context.Context, to mysqldump.Position, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s", ErrLate, limit))
	defer cancel()
	p.state.Until = to
	if err := p.note.Change(p.state); err != nil {
		return err
	}
	if err := p.link.startUntil(ctx, to); err != nil {
		return err
	}
	for {
		status, _, err := p.link.status(ctx)
		if err != nil {
			return err
		}
		there := status.at(to)
		switch {
		case status.SQL == "No" && there:
			return nil
		case status.SQL == "No":
			return &StoppedError{status.Channel, "SQL", status.SQLError, status}
		case status.IO == "No":
			return &StoppedError{status.Channel, "IO", status.IOError, status}
		case there: // it goes on waiting for an event, which may never come
			if err := p.link.about(ctx, "STOP REPLICA SQL_THREAD"); err != nil {
				return err
			}
			continue
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// at reports whether the replica has executed all before a position of its source, and nothing after.
func (s Status) at(to mysqldump.Position) bool {
	if to.File == "" {
		return s.Executed.GTIDs.Contains(to.GTIDs)
	}
	return s.Executed.File == to.File && s.Executed.Offset == to.Offset
}

// startUntil starts the SQL thread, to stop at a position of the source.
func (l *link) startUntil(ctx context.Context, to mysqldump.Position) error {
	switch {
	case to.File != "":
		return l.about(ctx, fmt.Sprintf("START REPLICA SQL_THREAD UNTIL %s_LOG_FILE=%s, %s_LOG_POS=%d",
			l.dialect.Source, server.Literal(to.File), l.dialect.Source, to.Offset))
	case l.mariaDB: // takes it only for both threads
		if err := l.about(ctx, "STOP REPLICA IO_THREAD"); err != nil {
			return err
		}
		return l.about(ctx, "START REPLICA UNTIL MASTER_GTID_POS="+server.Literal(to.GTIDs.String()))
	}
	return l.about(ctx, "START REPLICA SQL_THREAD UNTIL SQL_AFTER_GTIDS="+server.Literal(to.GTIDs.String()))
}

// farewell is how long it may take to start a thread again when all else has ended.
const farewell = 30 * time.Second

// Resume starts the thread again, although ctx may have ended, and the session with it.
func (p *Paused) Resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	defer p.link.Close()
	l, err := connect(ctx, p.server, p.state.Channel)
	if err == nil {
		defer l.Close()
		err = l.resume(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start the SQL thread of %s again: %w", p.server.Address(), err), p.note.Close())
	}
	return p.note.Remove()
}

// resume starts both threads, without an end.
func (l *link) resume(ctx context.Context) error {
	status, _, err := l.status(ctx)
	if err == nil && status.SQL != "No" { // an end that it was given stays until it stops
		err = l.about(ctx, "STOP REPLICA SQL_THREAD")
	}
	if err == nil {
		err = l.about(ctx, "START REPLICA")
	}
	return err
}

// Resume starts the SQL threads of a replica that were stopped for a moment by a process that was killed, as the notes in a folder
// say, and returns their channels. Threads that run, failed or went on since are left as they are.
func Resume(ctx context.Context, s *server.Server, folder string) (channels []string, err error) {
	left, notes, err := server.LeftPaused(folder)
	for i, p := range left {
		started, ours, err1 := resumeLeft(ctx, s, p)
		if started {
			channels = append(channels, p.Channel)
		}
		if ours && err1 == nil {
			err1 = notes[i].Remove()
		} else {
			err1 = errors.Join(err1, notes[i].Close())
		}
		err = errors.Join(err, err1)
	}
	return channels, err
}

func resumeLeft(ctx context.Context, s *server.Server, p server.Paused) (started, ours bool, err error) {
	l, err := connect(ctx, s, p.Channel)
	if err != nil {
		return false, false, err
	}
	defer l.Close()
	id, err := l.Identity(ctx)
	if err != nil || !p.Of(id) {
		return false, false, err
	}
	status, found, err := l.status(ctx)
	if err != nil || !found || !status.SQLError.IsZero() || !p.Left(status.Executed) || status.SQL != "No" && status.Until == "" {
		return false, true, err
	}
	return true, true, l.resume(ctx)
}
