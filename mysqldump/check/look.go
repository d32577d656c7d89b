package check

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"nightjar/mysqldump/account"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// A look is what rules see of one server.
type look struct {
	*server.Session
	o         Options
	address   string
	variables map[string]string // the global ones
	version   string
	account   string // as CURRENT_USER() says it
	slave     []replica.Status
	slaveErr  error    // why slave is not known
	resumed   []string // channels that a killed backup had left stopped, and that were started
	grants    account.Grants
	tables    []table
}

// A table is a table or a view that is not the server's own.
type table struct {
	database, name string
	view           bool
	engine         string // empty: the server cannot open it
	bytes          uint64
	options        string
	comment        string
}

func (t table) String() string { return t.database + "." + t.name }
func (t table) quoted() string { return server.Quote(t.database) + "." + server.Quote(t.name) }

func newLook(ctx context.Context, srv *server.Server, o Options) (l *look, err error) {
	session, err := srv.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			session.Close()
		}
	}()
	l = &look{Session: session, o: o, address: srv.Address(), variables: map[string]string{}}
	err = l.Query(ctx, "SHOW GLOBAL VARIABLES", func(row [][]byte) error {
		l.variables[strings.ToLower(string(row[0]))] = string(row[1])
		return nil
	})
	if err != nil {
		return nil, err
	}
	row, err := l.Row(ctx, "SELECT VERSION(), CURRENT_USER()")
	if err != nil {
		return nil, err
	}
	l.version, l.account = string(row[0]), string(row[1])
	if l.resumed, l.slaveErr = replica.Resume(ctx, srv, o.Notes); l.slaveErr == nil {
		l.slave, l.slaveErr = replica.Channels(ctx, session)
	}
	if l.slaveErr != nil && server.Number(l.slaveErr) == 0 {
		return nil, l.slaveErr
	}
	if l.grants, err = account.ReadGrants(ctx, session); err != nil {
		return nil, err
	}
	return l, l.readTables(ctx)
}

const own = "('mysql','information_schema','performance_schema','sys')" // the server's databases

func (l *look) readTables(ctx context.Context) error {
	return l.Query(ctx, `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, IFNULL(DATA_LENGTH,0)+IFNULL(INDEX_LENGTH,0), CREATE_OPTIONS, TABLE_COMMENT
		FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN `+own+` ORDER BY 1, 2`, func(row [][]byte) error {
		bytes, err := strconv.ParseUint(string(row[4]), 10, 64)
		l.tables = append(l.tables, table{string(row[0]), string(row[1]), strings.HasSuffix(string(row[2]), "VIEW"), string(row[3]), bytes, string(row[5]), string(row[6])})
		return err
	})
}

func (l *look) has(name string) bool { _, ok := l.variables[name]; return ok }
func (l *look) on(name string) bool {
	v := l.variables[name]
	return strings.EqualFold(v, "ON") || v == "1"
}

// number returns a variable that is a number; 0 if there is none of the name.
func (l *look) number(name string) float64 {
	f, _ := strconv.ParseFloat(l.variables[name], 64)
	return f
}

// mariadb reports whether the server has MariaDB's form of GTIDs; else it is of MySQL's family.
func (l *look) mariadb() bool { return l.has("gtid_domain_id") }

// loopback reports whether the server is reached without a network.
func (l *look) loopback() bool {
	return strings.HasPrefix(l.address, "/") || strings.HasPrefix(l.address, "127.") || strings.HasPrefix(l.address, "[::1]") || strings.HasPrefix(l.address, "localhost")
}

// set returns how to set a variable now and for good.
func set(name, value string) string {
	return fmt.Sprintf("SET GLOBAL %s=%s; and in the option file, below [mysqld]: %s=%s", name, value, name, value)
}

// restart returns how to set an option that takes effect when the server starts.
func restart(options ...string) string {
	return "in the option file, below [mysqld]: " + strings.Join(options, ", ") + "; then restart the server"
}
