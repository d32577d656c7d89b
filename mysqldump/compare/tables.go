package compare

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/sum"
	"nightjar/mysqldump/value"
)

// A comparison compares the tables of two ends, both at one position.
type comparison struct {
	v    *comparing
	only map[name]bool // empty: all

	alike    bool // whether both ends' CHECKSUM TABLE can be compared
	covered  []name
	tooLarge map[name]bool
	there    server.Identity                    // of the source
	ids      [2]map[schema.Name]schema.Identity // of InnoDB's tables before the snapshots; nil if an end does not say
	held     *lock.Held
	source   map[name]found
	replica  map[name]found
	sessions []*server.Session // of the replica, with snapshots
	sums     [2]map[name]string
}

// found is a table of an end.
type found struct {
	transactional bool
	bytes         uint64
}

func (r *comparison) close() error {
	for _, c := range r.sessions {
		c.Close()
	}
	if r.held != nil {
		return r.held.Close()
	}
	return nil
}

func (r *comparison) required(n name) bool {
	return r.v.o.Required == nil || r.v.o.Required(n.database, n.table)
}

const tablesQuery = `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), COALESCE(DATA_LENGTH, 0), COALESCE(` +
	`(SELECT e.TRANSACTIONS FROM information_schema.ENGINES e WHERE e.ENGINE=t.ENGINE), 'NO') FROM information_schema.TABLES t ` +
	`WHERE TABLE_TYPE<>'VIEW' AND TABLE_TYPE<>'SYSTEM VIEW' AND TABLE_SCHEMA NOT IN ('mysql','sys','information_schema','performance_schema')`

// tables lists what is at an end, but the server's own.
func (r *comparison) tables(ctx context.Context, c *server.Session) (map[name]found, error) {
	all := map[name]found{}
	err := c.Query(ctx, tablesQuery, func(row [][]byte) error {
		n := name{string(row[0]), string(row[1])}
		bytes, _ := strconv.ParseUint(string(row[4]), 10, 64)
		transactional := string(row[5]) == "YES" && string(row[2]) != "SEQUENCE"
		if (len(r.only) == 0 || r.only[n]) && (r.v.o.Chosen == nil || r.v.o.Chosen(n.database, n.table)) {
			all[n] = found{transactional, bytes}
		}
		return nil
	})
	return all, err
}

// prepare does what takes time before anything stands still.
func (r *comparison) prepare(ctx context.Context) error {
	r.sums[0], r.sums[1], r.tooLarge = map[name]string{}, map[name]string{}, map[name]bool{}
	source, err := r.v.o.Source.Connect(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	other, err := r.v.replica.Connect(ctx)
	if err != nil {
		return err
	}
	defer other.Close()
	r.there, err = source.Identity(ctx)
	if err != nil {
		return err
	}
	here, err := other.Identity(ctx)
	if err != nil {
		return err
	}
	r.alike = r.there.Flavor == here.Flavor && series(r.there.Version) == series(here.Version)
	tables, err := r.tables(ctx, source)
	if err != nil {
		return err
	}
	atReplica, err := r.tables(ctx, other)
	var bytes uint64
	for n, t := range tables {
		if _, both := atReplica[n]; !both {
			continue
		}
		switch {
		case t.transactional:
		case bytes+t.bytes > r.v.o.MaxCovered:
			r.tooLarge[n] = true
			r.leave(n, "too large to be read under a lock")
		default:
			bytes += t.bytes
			r.covered = append(r.covered, n)
		}
	}
	r.ids = r.identities(ctx, source, other)
	return err
}

// checkSource returns an error if the replica gets its changes from another server, whose positions say nothing of this one.
func (r *comparison) checkSource(s replica.Status) error {
	same := s.SourceID == r.there.ServerID
	if s.SourceUUID != "" && !r.there.ServerUUID.IsZero() {
		same = strings.EqualFold(s.SourceUUID, r.there.ServerUUID.String())
	}
	if same {
		return nil
	}
	return fmt.Errorf("the replica replicates from %s:%d, which has server_id %d: the source has server_id %d", s.Host, s.Port, s.SourceID, r.there.ServerID)
}

// identities tells tables from others that took their names, or their definitions.
func (r *comparison) identities(ctx context.Context, ends ...*server.Session) (ids [2]map[schema.Name]schema.Identity) {
	for i, c := range ends {
		if found, err := schema.Identities(ctx, c); err == nil { // else it takes a privilege, and tables are not told apart
			ids[i] = found
		}
	}
	return ids
}

// lookAgain says of tables that were changed meanwhile that they were: a snapshot may see nothing of them.
func (r *comparison) lookAgain(ctx context.Context, doubtful []Difference) {
	now := r.identities(ctx, r.held.Sessions[0], r.sessions[0])
	for i, d := range doubtful {
		for end, ids := range r.ids {
			n := schema.Name{Database: d.Database, Name: d.Table}
			if ids != nil && now[end] != nil && ids[n] != now[end][n] {
				doubtful[i] = Difference{Database: d.Database, Table: d.Table, What: "its definition changed meanwhile"}
			}
		}
	}
}

func (r *comparison) leave(n name, why string) {
	r.v.done.Uncompared = append(r.v.done.Uncompared, Difference{Database: n.database, Table: n.table, What: why})
}

// takeSource opens snapshots at the source, and sums what they do not cover while a lock does.
func (r *comparison) takeSource(ctx context.Context) (err error) {
	o := r.v.o.Lock
	o.Snapshots, o.Now = r.v.o.Sessions, r.v.o.Now
	if len(r.covered) > 0 {
		o.Covered = func(ctx context.Context, s []*server.Session) error { return r.sumCovered(ctx, s[0], 0) }
	}
	if r.held, err = lock.Take(ctx, r.v.o.Source, o); err != nil {
		return err
	}
	r.source, err = r.tables(ctx, r.held.Sessions[0])
	return err
}

// takeReplica opens snapshots at the replica, which stands still.
func (r *comparison) takeReplica(ctx context.Context, l *server.Session) (err error) {
	if r.replica, err = r.tables(ctx, l); err != nil {
		return err
	}
	if err := r.sumCovered(ctx, l, 1); err != nil {
		return err
	}
	for range r.v.o.Sessions {
		c, err := r.v.replica.Connect(ctx)
		if err != nil {
			return err
		}
		r.sessions = append(r.sessions, c)
		for _, statement := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
			if err := c.Exec(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *comparison) sumCovered(ctx context.Context, c *server.Session, end int) error {
	for _, n := range r.covered {
		text, err := r.sum(ctx, c, n, r.alike)
		if err != nil && server.Number(err) == 0 && !errors.Is(err, errGone) {
			return err
		}
		r.sums[end][n] = text
	}
	return nil
}

// compare compares all tables, and returns those that differ.
func (r *comparison) compare(ctx context.Context) (doubtful []Difference, err error) {
	held, cancel := r.held.Context(ctx)
	defer cancel()
	type job struct {
		name
		transactional bool
	}
	var jobs []job
	for n, t := range r.source {
		if _, both := r.replica[n]; r.tooLarge[n] {
			continue
		} else if both {
			jobs = append(jobs, job{n, t.transactional})
		} else if r.required(n) {
			doubtful = append(doubtful, Difference{Database: n.database, Table: n.table, What: "missing at the replica"})
		}
	}
	for n := range r.replica {
		if _, both := r.source[n]; !both && r.v.others == 0 { // else it may be another source's
			doubtful = append(doubtful, Difference{Database: n.database, Table: n.table, What: "missing at the source"})
		}
	}
	var mu sync.Mutex
	done, next := 0, make(chan job)
	g, working := errgroup.WithContext(held)
	g.Go(func() error {
		defer close(next)
		for _, j := range jobs {
			select {
			case next <- j:
			case <-working.Done():
				return context.Cause(working)
			}
		}
		return nil
	})
	for i := range r.sessions {
		g.Go(func() error {
			for j := range next {
				d, equal, err := r.compareTable(working, i, j.name, j.transactional)
				if err != nil {
					return err
				}
				mu.Lock()
				if equal {
					r.v.done.Tables++
				} else {
					doubtful = append(doubtful, d)
				}
				if done++; r.v.o.Report != nil {
					r.v.o.Report(done, len(jobs))
				}
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if len(doubtful) > 0 {
		r.lookAgain(ctx, doubtful)
	}
	return doubtful, r.held.Check(ctx)
}

// compareTable compares a table in the snapshots of number i. What servers refuse is doubtful; all else is an error.
func (r *comparison) compareTable(ctx context.Context, i int, n name, transactional bool) (d Difference, equal bool, err error) {
	d = Difference{Database: n.database, Table: n.table}
	ends := [2]*server.Session{r.held.Sessions[i], r.sessions[i]}
	for _, checksum := range []bool{true, false} { // servers' checksums can depend on how rows are kept: a difference is looked into
		if checksum && !r.alike && transactional {
			continue
		}
		var sums [2]string
		if !transactional {
			sums = [2]string{r.sums[0][n], r.sums[1][n]}
		} else {
			var g errgroup.Group
			for end, c := range ends {
				g.Go(func() (err error) {
					sums[end], err = r.sum(ctx, c, n, checksum)
					return err
				})
			}
			err = g.Wait()
		}
		switch {
		case server.Number(err) != 0 || errors.Is(err, errGone):
			d.What = err.Error()
			return d, false, nil
		case err != nil:
			return d, false, err
		case sums[0] == sums[1] && sums[0] != "":
			return d, true, nil
		}
		d.Source, d.Replica, d.What = sums[0], sums[1], "other rows"
		if !transactional {
			break
		}
	}
	if d.Source == "" || d.Replica == "" {
		d = Difference{Database: n.database, Table: n.table, What: "could not be summed"}
	}
	return d, false, nil
}

// errGone says that a table is not there any more: the catalog is no part of a snapshot.
var errGone = errors.New("the table is gone meanwhile")

// sum returns the checksum of a table: the server's, or our own in SQL.
func (r *comparison) sum(ctx context.Context, c *server.Session, n name, checksum bool) (string, error) {
	table := server.Quote(n.database) + "." + server.Quote(n.table)
	if checksum {
		row, err := c.Row(ctx, "CHECKSUM TABLE "+table)
		if err != nil || len(row) < 2 {
			return "", err
		}
		return string(row[1]), nil
	}
	columns, err := columns(ctx, c, n)
	if err != nil {
		return "", err
	}
	row, err := c.Row(ctx, sum.Query(table, columns))
	if err != nil {
		return "", err
	}
	s, err := sum.FromRow(row)
	return s.String(), err
}

// columns returns the expressions of a table's columns that are summed.
func columns(ctx context.Context, c *server.Session, n name) (all []string, err error) {
	err = c.Query(ctx, "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA="+
		server.Literal(n.database)+" AND TABLE_NAME="+server.Literal(n.table)+" ORDER BY ORDINAL_POSITION", func(row [][]byte) error {
		all = append(all, value.Column{Name: string(row[0]), Type: string(row[1]), DataType: strings.ToLower(string(row[2]))}.Value())
		return nil
	})
	if err == nil && len(all) == 0 {
		err = errGone
	}
	if err != nil {
		return nil, fmt.Errorf("read columns of %s.%s: %w", n.database, n.table, err)
	}
	return all, nil
}

// series is the first two numbers of a version.
func series(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "5.5.5-"), ".", 3) // MariaDB's to old clients
	return strings.Join(parts[:min(2, len(parts))], ".")
}
