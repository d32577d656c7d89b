package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/cmd/nightjar/commands/mysql/replicas"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/revive"
	"nightjar/snapshot"
	"nightjar/snapshot/bring"
	"nightjar/snapshot/sets"
)

// A restoredDatabase is a data directory on volumes that were brought. The zero value: there is none, or it was left.
type restoredDatabase struct {
	path string
	logs string // folder of its binary log; empty: the same
	revive.Revived
}

// restoreDatabase makes the data directory on the volumes one that a server may be started on.
func restoreDatabase(ctx context.Context, a *app.App, r *restoreFlags, set *sets.Set, parts []bring.Part, follows bool) (d restoredDatabase, err error) {
	if r.noDatabase || r.mount.ReadOnly || r.noMount || r.noAttach {
		return d, nil
	}
	if d.path, err = findDatadir(r, parts); err != nil || d.path == "" {
		if err == nil {
			a.Note("no data directory was found on the volumes: nothing but files was restored")
		}
		return d, err
	}
	dir, err := datadir.Adopt(d.path)
	if errors.Is(err, datadir.ErrInUse) {
		return d, usage.Hinted{Err: err, Hint: "a server was started on it already: go on with that, or stop it and run this again"}
	}
	if err != nil {
		return d, err
	}
	defer dir.Close()
	if d.logs, err = findLogs(r, parts, dir.Path(), set.Position.File); err != nil {
		return d, err
	}
	o := revive.Options{
		Of: set.ID, Program: r.program, Index: r.index, Logs: d.logs, Replica: follows, Temp: r.temp, Now: a.Now,
		Said: revive.Said{
			File: set.Position.File, Offset: set.Position.Offset, GTIDs: set.Position.GTIDs, GTIDSum: set.Position.GTIDSum, Sum: snapshot.SumGTIDs, Server: set.Position.Server,
		},
	}
	for _, option := range r.options {
		o.Flags = append(o.Flags, "--"+strings.ReplaceAll(option, "_", "-"))
	}
	if r.own != "" {
		owner, err := datadir.FindOwner(r.own, d.path)
		if err != nil {
			return d, err
		}
		o.Owner = &owner
	}
	a.Note("recovering the data directory %s", quote.Display(d.path))
	if d.logs != "" {
		a.Note("its binary log is in %s", quote.Display(d.logs))
	}
	d.Revived, err = revive.Run(ctx, dir, o)
	for _, n := range d.Notes {
		a.Note("%s", quote.Display(n))
	}
	noteDatabase(a, &d.Revived)
	switch {
	case errors.Is(err, datadir.ErrPosition):
		return d, usage.Hinted{Err: err, Hint: "no server should be started on it: the tags and the data are not of one moment. Look at nightjar ebs list; an older set may do"}
	case errors.Is(err, revive.ErrLog):
		return d, usage.Hinted{Err: err, Hint: "nothing was changed. Is its volume in the set, and mounted? A list that is in another folder than its logs is to be moved there by hand; then --binlog-dir names that folder"}
	case errors.Is(err, revive.ErrProgram):
		return d, usage.Hinted{Err: err, Hint: "install the server of that version here, or name its program with --tool; then the same command goes on"}
	}
	return d, err
}

// restoreEnds finds out who the servers are, if what is restored becomes a replica.
func restoreEnds(ctx context.Context, a *app.App, r *restoreFlags) (e replicas.Ends, follows bool, err error) {
	m := &r.replica
	nothing := r.noDatabase || r.mount.ReadOnly || r.noMount || r.noAttach || r.undo
	if nothing && !m.Source.Named() { // what option files say of a source is for other times
		return e, false, nil
	}
	if _, err := m.Source.Login(ctx, &a.Settings); errors.Is(err, login.ErrUnnamed) {
		return e, false, nil
	} else if err != nil {
		return e, false, err
	}
	if nothing {
		return e, false, usage.Errorf("--source: without a data directory that is mounted here, nothing becomes a replica")
	}
	m.Point.ResetLog = true
	e, err = replicas.ReplicaEnds(ctx, a, m)
	return e, err == nil, err
}

// followSource starts the server on what was restored, and makes it a replica.
func followSource(ctx context.Context, a *app.App, r *restoreFlags, d *restoredDatabase, e replicas.Ends) (done replicas.Replicated, err error) {
	m := &r.replica
	m.Datadir.Dir, m.Options.From = d.path, d.Position
	if d.Position.IsZero() {
		return done, fmt.Errorf("the data has no position in a binary log, so that nothing can be replicated after it")
	}
	if e.Source.Position, err = replica.Choose(ctx, m.Point.Server, d.Position, nil); err != nil {
		return done, replicas.Advise(err)
	}
	if err := replicas.MayReplicate(ctx, a, m, &e); err != nil {
		return done, err
	}
	if c, err := e.Replica.Connect(ctx); err == nil {
		c.Close()
		a.Note("a server answers at %s already", e.Replica.Address())
	} else if err := replicas.StartServer(ctx, a, &m.Start); err != nil {
		return done, err
	}
	if err := replicas.Answers(ctx, a, e.Replica, m); err != nil {
		return done, err
	}
	if err := replica.Fits(ctx, e.Replica, e.Source, m.Point); err != nil {
		return done, replicas.Advise(err)
	}
	return replicas.Replicate(ctx, a, m, e, nil)
}

// serverID suggests one that no other server has: of the position's, one more would be another replica's.
func serverID(p mysqldump.Position, path string) uint32 {
	n := uint32(2166136261)
	for _, c := range []byte(path) {
		n = (n ^ uint32(c)) * 16777619
	}
	if n = n%4000000000 + 1000; n == p.ServerID {
		n++
	}
	return n
}
