// Package drill has private servers prove backups of databases: it finds a server's program for a backup, makes a new data directory for a dump, and has the tables
// checked of what was restored.
//
// The invariant: such a server is reached by nobody but this process. It has no network and a socket in a folder of its own, replicates nothing, runs no events, and
// writes no binary log; datadir.Start sees to that.
package drill

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump/clone"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/program"
	"nightjar/mysqldump/server"
)

// common are flags of every server for a drill: what it does need not outlive a crash.
var common = []string{
	"--innodb-flush-log-at-trx-commit=0", "--loose-skip-ssl", "--loose-auto-generate-certs=OFF", "--loose-mysqlx=OFF", "--max-allowed-packet=1G",
	"--loose-symbolic-links=OFF", // a table with DATA DIRECTORY is made in the data directory, and links to files of MyISAM are not followed
}

// noFiles keeps a server of MySQL from reading and writing files by statements, and from looking for a folder for them.
const noFiles = "--secure-file-priv=NULL"

// clones reports whether the server has the clone plugin, which 5.7 has not.
func (p Program) clones() bool { return !p.MariaDB && !program.Older(program.Series(p.Version), "8.0") }

// poolFlag gives a server memory to load with: a quarter of what is free, from 128 MiB to 4 GiB.
func poolFlag() string {
	return "--innodb-buffer-pool-size=" + strconv.FormatUint(min(max(datadir.Memory()/2, 128<<20), 4<<30), 10)
}

// Start starts a private server: with accounts, on what Make made or where Administrator has made one, or else on restored files, for everybody.
func (p Program) Start(ctx context.Context, dir string, accounts bool, more []string, o datadir.StartOptions) (*datadir.Private, error) {
	o.Program = p.Path
	o.Flags = append(slices.Clone(common), poolFlag())
	if p.clones() {
		o.Flags = append(o.Flags, clone.Flags...)
	}
	if !p.MariaDB { // whose own folder need not be there
		o.Flags = append(o.Flags, noFiles)
	}
	if accounts { // without them, a server takes no statements about events
		o.Flags = append(o.Flags, "--skip-grant-tables=0", "--event-scheduler=OFF")
	}
	o.Flags = append(o.Flags, more...)
	return datadir.Start(ctx, dir, o)
}

// Administrator makes an account that may do everything on a private server that was started for everybody, and returns the login for one that is started with accounts: so that statements about accounts
// and events can be replayed there.
func Administrator(ctx context.Context, p *datadir.Private) (func(*mysql.Config), error) {
	c, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	const name = "nightjar-drill"
	password := rand.Text() + "aA1!"
	account := server.Literal(name) + "@'localhost'"
	for _, statement := range []string{
		"FLUSH PRIVILEGES", "DROP USER IF EXISTS " + account, "CREATE USER " + account + " IDENTIFIED BY " + server.Literal(password), "GRANT ALL PRIVILEGES ON *.* TO " + account + " WITH GRANT OPTION",
	} {
		if err := c.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make an account for the drill: %w", server.Reason(err))
		}
	}
	return func(config *mysql.Config) { config.User, config.Passwd = name, password }, nil
}

// Checked says what CHECK TABLE found.
type Checked struct {
	Tables   int
	Broken   []string // what is wrong, with the table
	Warnings []string // what is said of tables that are fine
}

// sessions check tables at the same time.
const sessions = 4

// Check has a server read all tables, with extended thoroughly: each row by each key.
func Check(ctx context.Context, srv *server.Server, extended bool) (done Checked, err error) {
	c, err := srv.Connect(ctx)
	if err != nil {
		return done, err
	}
	var names []string
	err = c.Texts(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')"+
		" AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')", func(row []string) error {
		names = append(names, server.Quote(row[0])+"."+server.Quote(row[1]))
		return nil
	})
	c.Close()
	if err != nil {
		return done, fmt.Errorf("list tables: %w", err)
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan string)
	g.Go(func() error {
		defer close(work)
		for _, name := range names {
			select {
			case work <- name:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range sessions {
		g.Go(func() error {
			c, err := srv.Connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			for name := range work {
				broken, warnings, err := check(ctx, c, name, extended)
				mu.Lock()
				done.Tables++
				done.Broken, done.Warnings = append(done.Broken, broken...), append(done.Warnings, warnings...)
				mu.Unlock()
				if err != nil {
					return fmt.Errorf("check table %s: %w", name, err)
				}
			}
			return nil
		})
	}
	return done, g.Wait()
}

// check has one table checked. An error says that the server did not answer.
func check(ctx context.Context, c *server.Session, name string, extended bool) (broken, warnings []string, err error) {
	statement := "CHECK TABLE " + name
	if extended {
		statement += " EXTENDED"
	}
	fine := false
	err = c.Texts(ctx, statement, func(row []string) error {
		if len(row) < 4 {
			return fmt.Errorf("%d columns", len(row))
		}
		kind, text := strings.ToLower(row[2]), row[3]
		switch {
		case kind == "status" && (text == "OK" || strings.Contains(text, "up to date")), strings.Contains(text, "doesn't support check"):
			fine = true
		case kind == "note" || kind == "warning":
			warnings = append(warnings, fmt.Sprintf("table %s: %s", name, text))
		default:
			broken = append(broken, fmt.Sprintf("table %s: %s", name, text))
		}
		return nil
	})
	switch {
	case server.Number(err) != 0: // it answered
		return append(broken, fmt.Sprintf("table %s: %v", name, server.Reason(err))), nil, nil
	case err != nil:
		return broken, warnings, err
	case !fine && len(broken) == 0:
		broken, warnings = append(broken, warnings...), nil
	}
	return broken, warnings, nil
}
