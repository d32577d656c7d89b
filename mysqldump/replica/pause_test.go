package replica_test

import (
	"testing"

	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// resumed tries that a thread that was stopped for a moment by a process that was killed is started again by the next one.
func resumed(t *testing.T, to *servertest.Server) {
	folder := t.TempDir()
	c, err := opened(t, to).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	killed := server.Paused{Hostname: id.Hostname, Port: id.Port, ServerID: id.ServerID, UUID: id.ServerUUID, From: statusOf(t, to).Executed}
	for _, moved := range []bool{false, true} {
		to.Exec(t, "STOP SLAVE SQL_THREAD")
		if moved {
			killed.From.File, killed.From.Offset = "other.000001", 4
		}
		note, err := server.NotePaused(folder, killed)
		if err != nil {
			t.Fatal(err)
		}
		if resumed, err := replica.Resume(t.Context(), opened(t, to), folder); len(resumed) > 0 || err != nil {
			t.Errorf("resumed what somebody holds: %v, %v", resumed, err)
		}
		if err := note.Close(); err != nil {
			t.Fatal(err)
		}
		resumed, err := replica.Resume(t.Context(), opened(t, to), folder)
		if err != nil || len(resumed) > 0 == moved || statusOf(t, to).SQL == "Yes" == moved {
			t.Errorf("moved %v: resumed %q, %v: %+v", moved, resumed, err, statusOf(t, to))
		}
	}
	to.Exec(t, "START SLAVE")
}
