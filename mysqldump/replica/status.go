package replica

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Status is what a replica says of one of its channels.
type Status struct {
	Channel string // empty: the one without a name
	Host    string
	Port    int
	User    string

	IO, SQL  string  // whether the threads run: Yes, No, Connecting
	IOState  string  // what the IO thread is doing
	SQLState string  // what the SQL thread is doing
	IOError  Failure // zero: none
	// SQLError is what stopped the SQL thread, or one of its workers; zero: nothing did.
	SQLError Failure

	Behind      time.Duration // by the clocks of both servers, in whole seconds
	BehindKnown bool          // false while a thread does not run

	Read mysqldump.Position // how far the IO thread has read: file and offset of the source's binary log
	// Executed is how far the SQL thread has come, in the source's binary log too. Its GTIDs are what this server has executed:
	// gtid_slave_pos, or Executed_Gtid_Set.
	Executed mysqldump.Position
	GTID     bool // whether the replica asks by GTID

	RelayFile   string
	RelayOffset uint64
	SourceID    uint32
	SourceUUID  string
	Delay       time.Duration // SQL_Delay: what it stays behind on purpose
	Until       string        // how far the SQL thread was told to go; empty: no end
	Filters     []string      // as "Replicate_Do_DB: a"
}

// A Failure is an error that a server reports of a thread. The zero value is none.
type Failure struct {
	Number int
	Text   string
}

// IsZero reports whether there is no failure.
func (f Failure) IsZero() bool { return f == Failure{} }

func (f Failure) String() string { return fmt.Sprintf("error %d: %s", f.Number, f.Text) }

// Runs reports whether both threads run.
func (s Status) Runs() bool { return s.IO == "Yes" && s.SQL == "Yes" }

// Channels returns what a server says of all its channels; none if it is no replica.
func Channels(ctx context.Context, c *server.Session) ([]Status, error) {
	d, err := c.Dialect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.Rows(ctx, d.ReplicaStatus)
	if err != nil {
		return nil, fmt.Errorf("read replica status: %w", err)
	}
	var all []Status
	for _, row := range rows {
		s, err := parseStatus(row)
		if err != nil {
			return nil, fmt.Errorf("read replica status: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (l *link) status(ctx context.Context) (s Status, found bool, err error) {
	all, err := Channels(ctx, l.Session)
	l.others = 0
	for _, one := range all {
		if one.Channel == l.channel {
			s, found = one, true
		} else {
			l.others++
		}
	}
	return s, found, err
}

// noChannel is the error of a server that does not have the channel.
func (l *link) noChannel(address string) error {
	switch {
	case l.others == 0:
		return fmt.Errorf("%s: %w", address, ErrNoReplica)
	case l.channel == "":
		return fmt.Errorf("%s: %w by a channel without a name: name one of its %d", address, ErrNoReplica, l.others)
	}
	return fmt.Errorf("%s: %w by a channel %q", address, ErrNoReplica, l.channel)
}

// ErrNoReplica is wrapped by errors about servers that do not replicate, or not by the channel.
var ErrNoReplica = errors.New("it is no replica")

var olderWords = strings.NewReplacer("Source", "Master", "Replica_", "Slave_")

func parseStatus(newer map[string]string) (s Status, err error) {
	row := make(map[string]string, len(newer))
	for name, value := range newer {
		row[olderWords.Replace(name)] = value
	}
	number := func(name string) (n uint64) {
		text := row[name]
		if text == "" || err != nil {
			return 0
		}
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%s is %.40q, which is no number", name, text)
		}
		return n
	}
	failure := func(of string) Failure {
		return Failure{int(number("Last_" + of + "_Errno")), row["Last_"+of+"_Error"]}
	}
	s = Status{
		Channel: row["Connection_name"] + row["Channel_Name"], Host: row["Master_Host"], Port: int(number("Master_Port")), User: row["Master_User"],
		IO: row["Slave_IO_Running"], SQL: row["Slave_SQL_Running"], IOState: row["Slave_IO_State"], SQLState: row["Slave_SQL_Running_State"], IOError: failure("IO"), SQLError: failure("SQL"),
		Behind:    time.Duration(number("Seconds_Behind_Master")) * time.Second,
		Read:      mysqldump.Position{File: row["Master_Log_File"], Offset: number("Read_Master_Log_Pos")},
		Executed:  mysqldump.Position{File: row["Relay_Master_Log_File"], Offset: number("Exec_Master_Log_Pos")},
		GTID:      row["Auto_Position"] == "1" || row["Using_Gtid"] != "" && row["Using_Gtid"] != "No",
		RelayFile: row["Relay_Log_File"], RelayOffset: number("Relay_Log_Pos"),
		SourceID: uint32(number("Master_Server_Id")), SourceUUID: row["Master_UUID"],
		Delay: time.Duration(number("SQL_Delay")) * time.Second,
	}
	_, s.BehindKnown = row["Seconds_Behind_Master"]
	for _, name := range []string{"Executed_Gtid_Set", "Gtid_Slave_Pos"} {
		if row[name] != "" && err == nil {
			s.Executed.GTIDs, err = mysqldump.ParseGTIDSet(row[name])
		}
	}
	if until := row["Until_Condition"]; until != "" && until != "None" {
		s.Until = strings.TrimSpace(until + " " + row["Until_Log_File"] + " " + row["Until_Log_Pos"])
	}
	for _, kind := range filterKinds {
		if row["Replicate_"+kind] != "" {
			s.Filters = append(s.Filters, "Replicate_"+kind+": "+row["Replicate_"+kind])
		}
	}
	return s, err
}

var filterKinds = []string{"Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table", "Rewrite_DB",
	"Ignore_Server_Ids", "Do_Domain_Ids", "Ignore_Domain_Ids"}
