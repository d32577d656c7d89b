// Package replicatest asks servers of tests that replicate from each other where they stand.
//
// It is for tests alone, and does not know what is tested. Whatever fails ends the test.
package replicatest

import (
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// Limit is how long a replica may take for anything on a machine that is slow and busy.
const Limit = 5 * time.Minute

// Open returns a server as packages know it, with root for the account.
func Open(t testing.TB, s *servertest.Server) *server.Server {
	t.Helper()
	opened, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// connect opens a session, which the caller closes.
func connect(t testing.TB, s *servertest.Server) *server.Session {
	t.Helper()
	c, err := Open(t, s).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Position reads where a server stands in its own binary log.
func Position(t testing.TB, s *servertest.Server) mysqldump.Position {
	t.Helper()
	c := connect(t, s)
	defer c.Close()
	p, err := c.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Status returns what a replica says of its one channel.
func Status(t testing.TB, s *servertest.Server) replica.Status {
	t.Helper()
	c := connect(t, s)
	defer c.Close()
	all, err := replica.Channels(t.Context(), c)
	if err != nil || len(all) != 1 {
		t.Fatalf("channels: %v, %v", all, err)
	}
	return all[0]
}

// CatchUp waits until a channel of a replica, empty for the one without a name, has all that its source has now.
func CatchUp(t testing.TB, from, to *servertest.Server, channel string) {
	t.Helper()
	o := replica.WaitOptions{Channel: channel, Target: Position(t, from), Limit: Limit}
	if _, err := replica.Wait(t.Context(), Open(t, to), o); err != nil {
		t.Fatal(err)
	}
}
