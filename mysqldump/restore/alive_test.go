package restore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// Keys may take a server that answers as long as they need; one that does not answer any more is not waited for without end.
func TestSilent(t *testing.T) {
	from, to := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	fill(t, from)
	m := dumpOf(t, serverOf(t, from), 3, "shop")
	config := to.Config()
	proxy := servertest.StartProxy(t, config.Addr)
	config.Addr = proxy.Addr
	target, err := server.New(config)
	must(t, err)
	const patience = 4 * time.Second
	rename := func(to string) map[string]string { return map[string]string{"shop": to} }

	reader := to.Connect(t)
	proxy.When("ADD UNIQUE KEY", func() { // somebody reads the table, so that its definition has to stay for now
		if _, err := reader.ExecContext(t.Context(), "BEGIN"); err != nil {
			t.Error(err)
		}
		if _, err := reader.ExecContext(t.Context(), "SELECT 1 FROM slow.orders LIMIT 1"); err != nil {
			t.Error(err)
		}
		time.AfterFunc(patience+time.Second, func() { _, _ = reader.ExecContext(t.Context(), "COMMIT") })
	})
	into(t, from, to, target, m, "slow", Options{Patience: patience})

	proxy.When("ADD UNIQUE KEY", func() { to.Pause(t) })
	result, err := Run(t.Context(), target, m, Options{Patience: patience / 2, Rename: rename("stopped")})
	to.Resume(t)
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "stopped.") || !strings.Contains(strings.Join(result.Notes, "\n"), "in 200ms there was no answer") {
		t.Errorf("%v\n%v", err, result.Notes)
	}
	into(t, from, to, target, m, "stopped", Options{Existing: IfChanged})
}
