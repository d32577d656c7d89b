package promote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightjar/mysqldump/promote"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/servertest"
)

// A second source is followed beside the first one by file and offset alone, each by its channel; what is done about one leaves
// the other as it is.
func TestChannels(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			twoChannels(t, k)
		})
	}
}

func twoChannels(t *testing.T, k servertest.Kind) {
	flags := []string{"--master-info-repository=TABLE", "--relay-log-info-repository=TABLE"} // else 5.7 takes one channel
	if k.MariaDB() {
		flags = nil
	}
	first, second, to := servertest.Start(t, k), servertest.Start(t, k), servertest.Start(t, k, flags...)
	first.Exec(t, account...)
	second.Exec(t, account...)
	follow(t, first, to, replica.Options{})
	first.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.t (id INT PRIMARY KEY)", "INSERT INTO a.t VALUES (1), (2), (3)")
	o := replica.Options{Channel: "the `other's`", ResetLog: true, Writable: true}
	if k == servertest.MySQL57 {
		o.Channel = "the other's"
	}
	if _, err := replica.Point(t.Context(), opened(t, to), sourceOf(t, second), o); !errors.Is(err, replica.ErrUnsafe) || !strings.Contains(err.Error(), "more channels") {
		t.Errorf("GTIDs of a second source: %v", err)
	}
	o.NoGTID = true
	follow(t, second, to, o)
	second.Exec(t, "CREATE DATABASE b", "CREATE TABLE b.t (id INT PRIMARY KEY)", "INSERT INTO b.t VALUES (1)")
	first.Exec(t, "INSERT INTO a.t VALUES (4)")
	for _, w := range []replica.WaitOptions{{Channel: o.Channel, Target: positionOf(t, second), Limit: limit}, {Target: positionOf(t, first), Limit: limit}} {
		if _, err := replica.Wait(t.Context(), opened(t, to), w); err != nil {
			t.Fatal(err)
		}
	}
	if n := to.QueryRow(t, "SELECT (SELECT COUNT(*) FROM b.t) + (SELECT COUNT(*) FROM a.t) n")["n"]; n != "5" {
		t.Errorf("%s rows of both sources, want 5", n)
	}
	if _, err := replica.Wait(t.Context(), opened(t, to), replica.WaitOptions{Channel: "third", Limit: limit}); !errors.Is(err, replica.ErrNoReplica) {
		t.Errorf("a channel that is not there: %v", err)
	}
	paused, err := replica.Pause(t.Context(), opened(t, to), replica.PauseOptions{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if runs := running(t, to); fmt.Sprint(runs) != fmt.Sprintf("map[:false %s:true]", o.Channel) || paused.Others != 1 {
		t.Errorf("one of two channels stands: %v", runs)
	}
	if err := paused.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, err := promote.New(t.Context(), opened(t, to), promote.Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if runs := running(t, to); fmt.Sprint(runs) != fmt.Sprintf("map[%s:true]", o.Channel) {
		t.Errorf("after the first source was given up: %v", runs)
	}
}

// running says of each channel whether both threads run.
func running(t testing.TB, s *servertest.Server) map[string]bool {
	t.Helper()
	c, err := opened(t, s).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := replica.Channels(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]bool{}
	for _, s := range all {
		runs[s.Channel] = s.Runs()
	}
	return runs
}
