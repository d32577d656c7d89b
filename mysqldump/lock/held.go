package lock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Held is snapshots at one position. The lock has been given up, but for the one against DDL that MySQL has, and other
// backups are kept out. It has to be closed. From Take to Close a goroutine keeps its own sessions alive.
type Held struct {
	// Sessions have a snapshot each, until their transactions end.
	Sessions []*server.Session
	// Position is that of all snapshots.
	Position mysqldump.Position
	// Sources are whom the server replicates from, if Options asked for them and it does: with how much the snapshots have.
	Sources []Source
	// Report is what the lock cost. Check brings it up to date.
	Report Report

	taker *taker
	lost  context.Context // ends when snapshots, or what keeps others out, are gone; its cause says why
	lose  context.CancelCauseFunc
	kept  sync.WaitGroup
}

// hold makes a Held of what was taken.
func (t *taker) hold() *Held {
	h := &Held{Sessions: t.snapshots, Position: t.position, Sources: t.replicates, Report: t.report, taker: t}
	h.lost, h.lose = context.WithCancelCause(context.Background())
	h.kept.Add(1)
	go func() {
		defer h.kept.Done()
		h.keep()
	}()
	return h
}

var errClosed = errors.New("the snapshots are closed")

// keep says something to the server now and then, so that it ends our sessions only if we are gone.
func (h *Held) keep() {
	t := h.taker
	tick := time.NewTicker(min(t.o.Max/3, 20*time.Second))
	defer tick.Stop()
	var expired <-chan time.Time
	if t.o.MaxSnapshot > 0 {
		timer := time.NewTimer(t.o.MaxSnapshot - t.o.Now().Sub(t.began))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case <-h.lost.Done():
			return
		case <-tick.C:
			if err := h.ping(); err != nil {
				h.lose(fmt.Errorf("keep the snapshots of %s: %w", t.server.Address(), err))
			}
		case <-expired:
			h.lose(fmt.Errorf("keep the snapshots of %s: %w: %v", t.server.Address(), ErrSnapshot, t.o.MaxSnapshot))
			h.taker.guard.forEach(h.Sessions, (*server.Session).Kill)
		}
	}
}

func (h *Held) ping() error {
	ctx, cancel := context.WithTimeout(h.lost, max(h.taker.o.Max, 10*time.Second))
	defer cancel()
	return h.taker.guard.do(func(c *server.Session) error {
		if err := c.Exec(ctx, "DO 1"); err != nil || h.taker.locker == nil {
			return err
		}
		return h.taker.locker.Exec(ctx, "DO 1")
	})
}

// Context returns a context that ends with ctx, when cancel is called, or when snapshots are lost: with a cause that says why.
func (h *Held) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	return endWith(ctx, h.lost)
}

// Check returns an error if a snapshot is lost, or what keeps others out, and brings Report up to date. The sessions may be in
// use meanwhile.
func (h *Held) Check(ctx context.Context) error {
	if err := context.Cause(h.lost); err != nil {
		return err
	}
	err := h.taker.guard.do(func(c *server.Session) (err error) {
		if h.Report.HistoryNow, err = history(ctx, c); err != nil {
			return err
		}
		alive := map[uint64]bool{}
		processes, err := c.Rows(ctx, "SHOW PROCESSLIST")
		for _, p := range processes {
			id, _ := strconv.ParseUint(lowerNames(p)["id"], 10, 64)
			alive[id] = true
		}
		for i, s := range h.Sessions {
			if err == nil && !alive[s.ID()] {
				err = fmt.Errorf("the server has ended the session of snapshot %d", i+1)
			}
		}
		if err == nil && h.taker.locker != nil && !alive[h.taker.locker.ID()] {
			err = errors.New("the server has ended the session that holds back DDL")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("check the snapshots of %s: %w", h.taker.server.Address(), err)
	}
	return nil
}

// Close ends the snapshots and their sessions, and lets other backups in. A second call does nothing.
func (h *Held) Close() error {
	h.lose(errClosed)
	h.kept.Wait()
	return h.taker.close()
}

// lowerNames returns a row by names in lower case, in which servers differ.
func lowerNames(row map[string]string) map[string]string {
	lower := make(map[string]string, len(row))
	for name, value := range row {
		lower[strings.ToLower(name)] = value
	}
	return lower
}
