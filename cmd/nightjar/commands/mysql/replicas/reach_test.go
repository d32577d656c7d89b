package replicas

import (
	"strings"
	"testing"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A source that has thrown away the log of the dump's position is found out before anything is loaded.
func TestPurgedLogs(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	c, err := srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	position, err := c.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := kept(t.Context(), c, at, position); err != nil {
		t.Error(err)
	}
	s.Exec(t, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
	s.PurgeLogs(t)
	if err := kept(t.Context(), c, at, position); err == nil || !strings.Contains(err.Error(), position.File) {
		t.Errorf("purged: %v", err)
	}
	position.ServerID++ // of another server, whose files have names of their own
	if err := kept(t.Context(), c, at, position); err != nil {
		t.Error(err)
	}
}
