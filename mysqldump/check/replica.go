package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nightjar/internal/human"
	"nightjar/mysqldump"
	"nightjar/mysqldump/account"
	"nightjar/mysqldump/program"
	"nightjar/mysqldump/server"
)

// A pair is a source and the server that is to be its replica.
type pair struct {
	source, replica *look
	account         *server.Server // the source, as the replica is to log in; nil: it is not known
}

// Ends looks at a server that is to become the replica of another, or is it already. The account is how the replica is to log
// in at the source: it is tried from here; nil: it is not. The source itself is looked at by Run.
func Ends(ctx context.Context, source, replica, account *server.Server, o Options) ([]Finding, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p := pair{account: account}
	var err error
	if p.source, err = newLook(ctx, source, o); err != nil {
		return nil, fmt.Errorf("check %s: %w", source.Address(), err)
	}
	defer p.source.Close()
	if p.replica, err = newLook(ctx, replica, o); err != nil {
		return nil, fmt.Errorf("check %s: %w", replica.Address(), err)
	}
	defer p.replica.Close()
	found, err := run(ctx, ends, p, o)
	if err != nil {
		return nil, fmt.Errorf("check %s as a replica of %s: %w", replica.Address(), source.Address(), err)
	}
	return sorted(found), nil
}

// ends are the rules of a replica.
var ends = []rule[pair]{
	{"replica-itself", nil, lookAtItself},
	{"replica-privileges", nil, lookAtReplicaPrivileges},
	{"replica-stopped", nil, func(ctx context.Context, p pair) ([]Finding, error) { return lookAtSlave(ctx, p.replica) }},
	{"replica-empty", nil, lookAtEmpty},
	{"replica-server-id", nil, lookAtIDs},
	{"replica-version", nil, lookAtVersions},
	{"replica-account", nil, lookAtAccount},
	{"replica-filter", nil, lookAtFilters},
	{"replica-names", nil, lookAtNames},
	{"replica-page-size", nil, lookAtPageSize},
	{"replica-gtid", nil, lookAtModes},
	{"replica-engines", nil, lookAtReplicaEngines},
	{"replica-packet", nil, lookAtPackets},
	{"replica-space", nil, lookAtReplicaSpace},
	{"replica-read-only", nil, lookAtReadOnly},
	{"replica-relay-log", nil, lookAtRelayLog},
	{"replica-logs", nil, lookAtReplicaLogs},
	{"replica-charset", nil, lookAtCharsets},
	{"replica-events", nil, lookAtReplicaEvents},
	{"replica-clock", nil, func(ctx context.Context, p pair) ([]Finding, error) { return lookAtClock(ctx, p.replica) }},
}

func lookAtItself(ctx context.Context, p pair) ([]Finding, error) {
	same, err := server.Same(ctx, p.source.Session, p.replica.Session)
	if err != nil || !same {
		return nil, err
	}
	return one(Problem, "source and replica are one server", "name another server as the replica")
}

// lookAtReplicaPrivileges asks for what loads a dump and starts replication, which is all there is.
func lookAtReplicaPrivileges(_ context.Context, p pair) ([]Finding, error) {
	if p.replica.grants.All || p.replica.grants.Has("SUPER") && p.replica.grants.Has("CREATE USER") && p.replica.grants.Has("CREATE") {
		return none()
	}
	account := account.Quote(p.replica.account)
	return []Finding{{Severity: Problem, Object: p.replica.account, Says: "the account cannot make databases, accounts and a replica of the server", Do: "GRANT ALL PRIVILEGES ON *.* TO " + account + " WITH GRANT OPTION; for as long as the replica is made"}}, nil
}

func lookAtEmpty(ctx context.Context, p pair) (found []Finding, err error) {
	for _, s := range p.replica.slave {
		found = append(found, Finding{Severity: Note, Object: channelName(s), Says: fmt.Sprintf("the replica replicates from %s:%d already", s.Host, s.Port)})
	}
	if len(found) > 0 {
		return found, nil
	}
	err = p.replica.Query(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN "+own+" ORDER BY 1", func(row [][]byte) error {
		name := string(row[0])
		found = append(found, Finding{Severity: Problem, Object: name, Says: "the replica has a database already: what is not in the backup stays, and stops replication one day (errors 1050, 1062)",
			Do: "look that nobody needs it; then, at the replica: DROP DATABASE " + server.Quote(name) + ";"})
		return nil
	})
	return found, err
}

// identities returns what source and replica are.
func (p pair) identities(ctx context.Context) (source, replica server.Identity, err error) {
	if source, err = p.source.Identity(ctx); err == nil {
		replica, err = p.replica.Identity(ctx)
	}
	return source, replica, err
}

func lookAtIDs(ctx context.Context, p pair) (found []Finding, err error) {
	a, b, err := p.identities(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case b.ServerID == 0:
		found, _ = one(Problem, "server_id of the replica is 0: it cannot replicate", "at the replica: "+set("server_id", "N")+" (any number that no other server of yours has)")
	case a.ServerID == b.ServerID:
		found, _ = one(Problem, fmt.Sprintf("both servers have server_id %d: the replica takes the source's changes for its own (error 1593)", a.ServerID), "at the replica: "+set("server_id", "N")+" (any number that no other server of yours has)")
	}
	if !a.ServerUUID.IsZero() && a.ServerUUID == b.ServerUUID {
		found = append(found, Finding{Severity: Problem, Object: "server_uuid", Says: "both servers have server_uuid " + a.ServerUUID.String() + ", since the data directory was copied: the source refuses the replica (error 1593)",
			Do: "at the replica: remove auto.cnf in its data directory, and restart it"})
	}
	return found, nil
}

func lookAtVersions(ctx context.Context, p pair) ([]Finding, error) {
	a, b, err := p.identities(ctx)
	if err != nil {
		return nil, err
	}
	from, to := program.Series(a.Version), program.Series(b.Version)
	switch {
	case a.Flavor == mysqldump.MariaDB && b.Flavor != mysqldump.MariaDB:
		return one(Problem, "a server of MySQL cannot replicate from MariaDB: it knows neither its GTIDs nor its events", "take MariaDB "+from+" or newer")
	case a.Flavor != b.Flavor:
		return one(Warning, "a server of MariaDB replicates from MySQL by file and offset alone, and not what MariaDB lacks (JSON in binary form, accounts by caching_sha2_password)", "take MySQL "+from+" or newer, if this is not a move to MariaDB")
	case program.Older(to, from):
		return one(Problem, fmt.Sprintf("the replica's version, %s, is older than the source's, %s: it may not know what is in the logs", b.Version, a.Version), "install "+from+" or newer at the replica")
	case b.Flavor == mysqldump.MySQL && from == "5.7" && !program.Older(to, "8.4"):
		return one(Warning, fmt.Sprintf("%s is more than one series after %s, which its maker does not support", b.Version, a.Version), "take 8.0 in between")
	}
	return none()
}

func lookAtNames(_ context.Context, p pair) ([]Finding, error) {
	const option = "lower_case_table_names"
	a, b := p.source.variables[option], p.replica.variables[option]
	if a == b {
		return none()
	}
	return one(Problem, fmt.Sprintf("%s is %s at the source and %s at the replica: names of tables come to mean others", option, a, b), "make the replica's data directory anew, with "+option+"="+a+" in the option file from the start")
}

func lookAtPageSize(_ context.Context, p pair) ([]Finding, error) {
	a, b := p.source.variables["innodb_page_size"], p.replica.variables["innodb_page_size"]
	if a == b {
		return none()
	}
	return one(Warning, fmt.Sprintf("innodb_page_size is %s at the source and %s at the replica: rows and keys of one may not fit into the other, and a hot copy does not open", a, b), "make the replica's data directory anew, with innodb_page_size="+a+" in the option file from the start")
}

func lookAtModes(_ context.Context, p pair) ([]Finding, error) {
	a, b := p.source.variables["gtid_mode"], p.replica.variables["gtid_mode"]
	if p.source.mariadb() || p.replica.mariadb() || (a == "ON") == (b == "ON") {
		return none()
	}
	return one(Problem, fmt.Sprintf("gtid_mode is %s at the source and %s at the replica, which refuses to replicate so (error 1593)", a, b), "at the replica: "+restart("gtid_mode="+a, "enforce_gtid_consistency="+p.source.variables["enforce_gtid_consistency"]))
}

func lookAtReplicaEngines(ctx context.Context, p pair) (found []Finding, err error) {
	var known []string
	err = p.replica.Query(ctx, "SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES','DEFAULT')", func(row [][]byte) error {
		known = append(known, strings.ToUpper(string(row[0])))
		return nil
	})
	for _, t := range p.source.tables {
		if engine := strings.ToUpper(t.engine); !t.view && engine != "" && !slices.Contains(known, engine) {
			found = append(found, Finding{Severity: Problem, Object: t.String(), Says: "its engine, " + t.engine + ", is not at the replica: the table cannot be made there", Do: "install the engine's plugin at the replica, or, at the source: ALTER TABLE " + t.quoted() + " ENGINE=InnoDB;"})
		}
	}
	return found, err
}

func lookAtPackets(_ context.Context, p pair) (found []Finding, err error) {
	for _, option := range []string{"max_allowed_packet", "slave_max_allowed_packet", "replica_max_allowed_packet"} {
		if a, b := p.source.number("max_allowed_packet"), p.replica.number(option); p.replica.has(option) && b < a {
			found = append(found, Finding{Severity: Warning, Object: option, Says: fmt.Sprintf("%s is %s at the replica, and the source takes rows of up to %s: such a row stops it", option, human.Size(uint64(b)), human.Size(uint64(a))),
				Do: "at the replica: " + set(option, strconv.FormatFloat(a, 'f', 0, 64))})
		}
	}
	return found, nil
}

func lookAtReplicaSpace(_ context.Context, p pair) ([]Finding, error) {
	dir := p.replica.datadir()
	if dir == "" || len(p.replica.slave) > 0 {
		return none()
	}
	needs := uint64(0)
	for _, t := range p.source.tables {
		needs += t.bytes
	}
	left, _, err := p.replica.o.Free(dir)
	if err != nil || left > needs+needs/10 {
		return nil, err
	}
	return []Finding{{Severity: Problem, Object: dir, Says: fmt.Sprintf("the source has %s, and %s are free here", human.Size(needs), human.Size(left)), Do: "make room, or give the replica a larger disk"}}, nil
}

func lookAtReadOnly(_ context.Context, p pair) ([]Finding, error) {
	if p.replica.on("read_only") || p.replica.variables["read_only"] != "OFF" && p.replica.variables["read_only"] != "0" {
		return none()
	}
	return one(Warning, "read_only is off at the replica: whoever writes there makes it differ, and stops it one day (errors 1062, 1032)", "at the replica: "+set("read_only", "ON"))
}

func lookAtRelayLog(_ context.Context, p pair) (found []Finding, err error) {
	if p.replica.variables["relay_log"] == "" {
		found, _ = one(Warning, "relay_log is not set at the replica: its relay logs are named after the machine, and are not found any more once that has another name", "at the replica: "+restart("relay_log=relay"))
	}
	if p.replica.has("relay_log_recovery") && !p.replica.on("relay_log_recovery") {
		found = append(found, Finding{Severity: Note, Object: "relay_log_recovery", Says: "relay_log_recovery is off at the replica: after a crash of its machine a damaged relay log stops it (error 1594)", Do: "at the replica: " + restart("relay_log_recovery=ON")})
	}
	return found, nil
}

func lookAtReplicaLogs(_ context.Context, p pair) ([]Finding, error) {
	if p.replica.on("log_bin") && (p.replica.on("log_slave_updates") || p.replica.on("log_replica_updates")) {
		return none()
	}
	return one(Note, "the replica writes what it replicates to no binary log: it can have no replicas of its own, and does not serve to take the source's place", "at the replica: "+restart("log_bin=mysql-bin", "log_slave_updates=ON"))
}

func lookAtCharsets(_ context.Context, p pair) (found []Finding, err error) {
	for _, option := range []string{"character_set_server", "collation_server"} {
		if a, b := p.source.variables[option], p.replica.variables[option]; a != b {
			found = append(found, Finding{Severity: Note, Object: option, Says: fmt.Sprintf("%s is %s at the source and %s at the replica: once that is the source, new databases differ", option, a, b), Do: "at the replica: " + set(option, a)})
		}
	}
	return found, nil
}

func lookAtReplicaEvents(ctx context.Context, p pair) ([]Finding, error) {
	return lookAtEvents(ctx, p.replica)
}
