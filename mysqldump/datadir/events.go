package datadir

import (
	"context"
	"errors"
	"fmt"
	"os"

	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// DisableEvents disables the events that are enabled, as on a replica, by a private server on a directory that is Prepared: else those that are
// due would run as soon as its server starts. It returns how many. Finish has to follow, as the files are ours until then.
func (d *Dir) DisableEvents(ctx context.Context, o StartOptions) (disabled int, err error) {
	o.Owner = Owner{os.Geteuid(), os.Getegid()} // who reaches the temporary files, as the server's user need not
	if err := d.own(o.Owner, &Finished{}); err != nil {
		return 0, fmt.Errorf("disable events: %w", err)
	}
	p, err := Start(ctx, d.path, o)
	if err != nil {
		return 0, fmt.Errorf("disable events: %w", err)
	}
	c, err := p.Connect(ctx)
	if err == nil {
		disabled, err = DisableEvents(ctx, c)
		c.Close()
	}
	if err = errors.Join(err, p.Stop()); err != nil {
		return 0, fmt.Errorf("disable events: %w", err)
	}
	return disabled, nil
}

// DisableEvents disables the events that are enabled, as on a replica, in a session of a private server. It returns how many.
func DisableEvents(ctx context.Context, c *server.Session) (int, error) {
	const noSuchTable = 1146
	rows, err := c.Rows(ctx, "SELECT db FROM mysql.event WHERE status='ENABLED'")
	if server.Number(err) == noSuchTable { // MySQL 8 and later have none, and alter events without accounts
		return replica.DisableEvents(ctx, c)
	}
	if err == nil && len(rows) > 0 { // MariaDB without accounts alters no event
		err = c.Exec(ctx, "UPDATE mysql.event SET status='SLAVESIDE_DISABLED' WHERE status='ENABLED'")
	}
	return len(rows), err
}
