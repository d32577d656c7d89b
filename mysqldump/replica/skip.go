package replica

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Skipped is a transaction that a replica was told to pass over.
type Skipped struct {
	Failure Failure            // why it failed
	At      mysqldump.Position // where it begins in the source's binary log
	GTID    string             // empty: it has none, or the replica passes over it by count
}

// skip has a replica pass over the transaction that fails, and starts its SQL thread again.
func (l *link) skip(ctx context.Context, s Status) (Skipped, error) {
	skipped := Skipped{Failure: l.detail(ctx, s), At: s.Executed}
	mode, err := "", error(nil)
	if !l.mariaDB {
		if mode, _, err = variable(ctx, l.Session, "gtid_mode"); err != nil {
			return skipped, err
		}
	}
	if mode == "ON" {
		if skipped.GTID, err = l.failing(ctx, s); err == nil {
			err = l.execNothing(ctx, skipped.GTID)
		}
	} else {
		err = l.Exec(ctx, "SET GLOBAL sql_slave_skip_counter=1")
		if unknown(err) {
			err = l.Exec(ctx, "SET GLOBAL sql_replica_skip_counter=1")
		}
	}
	if err == nil {
		err = l.about(ctx, "START REPLICA SQL_THREAD")
	}
	if err != nil {
		return skipped, fmt.Errorf("pass over the transaction at %s:%d: %w", s.Executed.File, s.Executed.Offset, err)
	}
	return skipped, nil
}

var (
	gtidNext   = regexp.MustCompile(`GTID_NEXT\s*=\s*'([0-9A-Fa-f-]{36}(?::[a-z_0-9]+)?:[0-9]+)'`)
	gtidFailed = regexp.MustCompile(`transaction '([0-9A-Fa-f-]{36}(?::[a-z_0-9]+)?:[0-9]+)'`)
)

// failing returns the GTID of the transaction that fails: as a worker's error names it, or as the relay log has it where the
// thread stands.
func (l *link) failing(ctx context.Context, s Status) (string, error) {
	if m := gtidFailed.FindStringSubmatch(s.SQLError.Text); m != nil {
		return m[1], nil
	}
	events, err := l.Rows(ctx, fmt.Sprintf("SHOW RELAYLOG EVENTS IN %s FROM %d LIMIT 10%s", server.Literal(s.RelayFile), s.RelayOffset, l.forChannel()))
	if err != nil {
		return "", err
	}
	for _, e := range events {
		if m := gtidNext.FindStringSubmatch(e["Info"]); m != nil && strings.HasPrefix(strings.ToLower(e["Event_type"]), "gtid") {
			return m[1], nil
		}
	}
	return "", errors.New("the relay log does not say its GTID")
}

// execNothing executes an empty transaction of that GTID, so that the source's counts as executed.
func (l *link) execNothing(ctx context.Context, gtid string) error {
	for _, statement := range []string{"SET SESSION gtid_next=" + server.Literal(gtid), "BEGIN", "COMMIT", "SET SESSION gtid_next='AUTOMATIC'"} {
		if err := l.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
