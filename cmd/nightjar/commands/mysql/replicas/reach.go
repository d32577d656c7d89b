package replicas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/mysqldump"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/server"
)

// MayReplicate finds out before anything long begins whether the source lets the replication account in, and has what comes after the dump.
// Who is refused here may be let in from the replica's machine, if that is another: then it is a warning.
func MayReplicate(ctx context.Context, a *app.App, r *Flags, e *Ends) error {
	source, err := r.Point.Server.Connect(ctx)
	if err != nil {
		return fmt.Errorf("ask the source: %w", err)
	}
	defer source.Close()
	at, err := source.Identity(ctx)
	if err != nil {
		return err
	}
	if err := kept(ctx, source, at, e.Source.Position); err != nil {
		return err
	}
	account, err := r.Replication.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	c, err := account.Connect(ctx)
	switch {
	case err != nil && (ctx.Err() != nil || !here(e.Replica.Address()) || errors.Is(err, login.ErrExposed)):
		if ctx.Err() == nil {
			a.Warn(fmt.Errorf("try the replication account from here, which need not be where the replica is: %w", err))
			return nil
		}
		return err
	case err != nil:
		return usage.Hinted{Err: fmt.Errorf("try the replication account: %w", err),
			Hint: "nothing was changed. --replication USER@HOST[:PORT] says where the source is and who logs in; the password stands in [nightjar-replication] of ~/.my.cnf, or --replication-password-file names it. " +
				"At the source: CREATE USER repl@'%' IDENTIFIED BY '…'; GRANT REPLICATION SLAVE ON *.* TO repl@'%';"}
	}
	defer c.Close()
	there, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	if there.ServerID != at.ServerID || there.ServerUUID != at.ServerUUID || there.Hostname != at.Hostname || there.Port != at.Port {
		return usage.Hinted{Err: fmt.Errorf("--replication %s leads to server %d, and --source %s to server %d", account.Address(), there.ServerID, r.Point.Server.Address(), at.ServerID),
			Hint: "nothing was changed. Both have to name the source: one for you, as an administrator, the other for the replica"}
	}
	return nil
}

// here reports whether a server is on this machine.
func here(address string) bool {
	if strings.HasPrefix(address, "/") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// kept returns an error if the source has thrown away the binary log in which the dump's position is.
func kept(ctx context.Context, source *server.Session, at server.Identity, position mysqldump.Position) error {
	if position.File == "" || position.ServerID != at.ServerID || position.ServerUUID != at.ServerUUID {
		return nil
	}
	var files []string
	err := source.Query(ctx, "SHOW BINARY LOGS", func(row [][]byte) error {
		files = append(files, string(row[0]))
		return nil
	})
	switch {
	case err != nil && server.Number(err) == 0:
		return err
	case err != nil || len(files) == 0 || slices.Contains(files, position.File): // what it does not say, replication will
		return nil
	}
	return usage.Hinted{Err: fmt.Errorf("the source has no binary log %s any more, in which the dump's position is: it begins with %s", position.File, files[0]),
		Hint: "nothing was changed. Take a newer dump: nightjar mysql dump at the source, then this command again. nightjar mysql check --every 1D says for how long binary logs should be kept"}
}
