package revive

import (
	"context"
	"errors"
	"path"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/server"
)

// recover has a private server recover the data, and asks it what it holds.
func recover(ctx context.Context, d *datadir.Dir, n *note, logs *datadir.Logs, o Options) (r Revived, err error) {
	var flags []string
	if n.Index != "" { // without the log, transactions that are prepared could not be decided
		base, index := strings.TrimSuffix(n.File, path.Ext(n.File)), n.Index
		if logs != nil {
			base, index = logs.Path(base), logs.Path(index)
		}
		flags = append(flags, "--log-bin="+base, "--log-bin-index="+index)
	}
	gtids, err := mysqldump.ParseGTIDSet(n.GTIDs)
	if err != nil {
		return r, err
	}
	program, said, err := private(ctx, d, n, o, flags, func(c *server.Session) error {
		r = Revived{Identity: n.Identity, Notes: n.Notes, Unclosed: n.Unclosed}
		err := ask(ctx, c, n, gtids, &r)
		if err == nil && o.Replica {
			r.Events, err = datadir.DisableEvents(ctx, c)
		}
		return err
	})
	r.Program, r.InnoDB = program, innoDB(said)
	return r, err
}

// quiet disables the events of data that an earlier run has recovered. The server writes no log meanwhile.
func quiet(ctx context.Context, d *datadir.Dir, n *note, o Options) (disabled int, err error) {
	_, _, err = private(ctx, d, n, o, nil, func(c *server.Session) (err error) {
		if err = c.Exec(ctx, "SET SESSION sql_log_bin=0"); err == nil {
			disabled, err = datadir.DisableEvents(ctx, c)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	n.Quiet = true
	return disabled, n.write(d)
}

// private has a private server do something. Said is what it said.
func private(ctx context.Context, d *datadir.Dir, n *note, o Options, more []string, do func(*server.Session) error) (program, said string, err error) {
	if program, err = findProgram(ctx, d, n, o); err != nil {
		return "", "", err
	}
	owner := o.Owner
	if owner == nil {
		found, err := datadir.FindOwner("", d.Path())
		if err != nil {
			return "", "", err
		}
		owner = &found
	}
	flags := append([]string{
		"--loose-upgrade=NONE", "--loose-persisted-globals-load=OFF", "--loose-mysqlx=OFF", "--loose-binlog-expire-logs-seconds=0", "--loose-binlog-expire-logs-auto-purge=OFF",
		"--loose-skip-ssl", "--loose-auto-generate-certs=OFF", "--loose-caching-sha2-password-auto-generate-rsa-keys=OFF", "--loose-log-replica-updates", "--loose-slave-parallel-threads=0",
	}, more...)
	gtids, err := mysqldump.ParseGTIDSet(n.GTIDs)
	if err != nil {
		return "", "", err
	}
	if gtids.Flavor() == mysqldump.MySQL {
		flags = append(flags, "--gtid-mode=ON", "--enforce-gtid-consistency=ON")
	}
	p, err := datadir.Start(ctx, d.Path(), datadir.StartOptions{Program: program, Flags: append(flags, o.Flags...), Temp: o.Temp, Owner: *owner, Now: o.Now})
	if err != nil {
		return "", "", err
	}
	c, err := p.Connect(ctx)
	if err == nil {
		err = do(c)
		c.Close()
	}
	said = p.Said()
	return program, said, errors.Join(err, p.Stop())
}
