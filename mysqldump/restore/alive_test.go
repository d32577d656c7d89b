package restore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/servertest"
)

// A server that answers may take as long as it needs; one that does not answer any more is not waited for without end.
func TestSilent(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	r := &run{srv: serverOf(t, s), o: Options{Patience: 5 * time.Second}}
	session, err := r.srv.Connect(t.Context())
	must(t, err)
	defer session.Close()
	wait := func(seconds string) error {
		return r.answered(t.Context(), "make keys", func(ctx context.Context) error { return session.Exec(ctx, "DO SLEEP("+seconds+")") })
	}
	if err := wait("6"); err != nil {
		t.Errorf("a server that answers was given up: %v", err)
	}
	s.Pause(t)
	defer s.Resume(t)
	if err := wait("600"); !errors.Is(err, ErrNoAnswer) || !strings.HasPrefix(err.Error(), "make keys: in 5s") {
		t.Errorf("%v", err)
	}
	if notes := strings.Join(r.result.Notes, "\n"); !strings.Contains(notes, "make keys: in 500ms there was no answer") {
		t.Errorf("nobody was told: %q", notes)
	}
}
