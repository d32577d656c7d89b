package logs_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/mysqldump/logs"
	"nightjar/mysqldump/servertest"
)

// Full hundreds of logs are kept as they are. What is damaged in one is read again or, once the server has thrown it away,
// lost; and that stays a gap. So it is, too, where only the names of all logs are known, and then no more is read than what a run needs.
func TestHundreds(t *testing.T) {
	for _, names := range []bool{false, true} {
		t.Run(fmt.Sprintf("names %v", names), func(t *testing.T) { hundreds(t, names) })
	}
}

func hundreds(t *testing.T, names bool) {
	s := servertest.Start(t, servertest.MariaDB1011)
	x := newSite(t, s)
	x.names = names
	s.Exec(t, slices.Repeat([]string{"FLUSH BINARY LOGS"}, 204)...)
	r, _ := x.save(logs.Options{})
	n := len(r.Entries)
	if n < 205 || r.Entries[n-1].Folder() != r.Entries[n-1].History+"/bin.0002xx" {
		t.Fatalf("%d entries, the last is %s", n, r.Entries[n-1].Path())
	}
	wants := func(a *archive, whole int) {
		t.Helper()
		x.compare(r)
		if len(r.Entries) != n || len(a.files) != n || a.whole != whole || len(logs.Chains(r.Entries)) != 1 {
			t.Fatalf("%d entries, %d files, %d folders, %d chains", len(r.Entries), len(a.files), a.whole, len(logs.Chains(r.Entries)))
		}
	}
	r, a := x.save(logs.Options{})
	wants(a, 2)
	if want := map[bool]int{true: 1}[names]; x.reads != want {
		t.Errorf("%d folders were read, not %d", x.reads, want)
	}
	again := func(breaks []logs.Case, lost ...int) {
		t.Helper()
		a = &archive{before: x.last, files: map[string]*file{}, lost: map[string]bool{}}
		for _, i := range lost {
			a.lost[r.Entries[i].Path()] = true
		}
		r = x.saveInto(a, logs.Options{}, breaks...)
	}
	again(nil, 7, 8, n-2, n-1)
	wants(a, 1)
	s.Exec(t, "FLUSH BINARY LOGS")
	r, _ = x.save(logs.Options{})
	s.PurgeLogs(t)
	again([]logs.Case{logs.Lost, logs.Lost, logs.Lost}, 7, 8, n-1)
	for range 2 {
		chains := logs.Chains(r.Entries)
		if len(chains) != 3 || chains[0].Gap != "" || chains[1].Gap != logs.Lost || chains[2].Gap != logs.Lost || len(chains[2].Entries) != 1 || len(r.Entries) != n-2 {
			t.Fatalf("chains %v of %d entries", chains, len(r.Entries))
		}
		r, a = x.save(logs.Options{})
	}
	if a.whole != 2 {
		t.Errorf("%d folders were kept", a.whole)
	}
	created, all := r.Entries[150].Span.Format.Created, 0 // logs of the same second go together
	for _, since := range []time.Time{created.Add(time.Second - 1), created.Add(time.Second)} {
		want := r.Entries
		for len(want) > 1 && want[1].Span.Format.Created.Before(since.Truncate(time.Second)) {
			want = want[1:]
		}
		dropped := len(r.Entries) - len(want)
		all += dropped
		r, _ = x.save(logs.Options{Since: since})
		if r.Dropped != dropped || len(r.Entries) != len(want) || r.Entries[0].Path() != want[0].Path() {
			t.Errorf("%d were left out, not %d, and %s is the first", r.Dropped, dropped, r.Entries[0].Path())
		}
		if since.Before(created.Add(time.Second)) && all >= 150 {
			t.Errorf("%d were left out: the last may have been closed after %v", all, since)
		}
	}
	if all < 150 {
		t.Errorf("%d were left out", all)
	}
}
