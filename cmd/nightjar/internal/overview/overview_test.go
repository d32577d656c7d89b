package overview_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/job/history"
	"nightjar/job/record"
)

var now = time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)

// archives are those of a database and of files, the last of which failed.
func archives(host, job, failure string) []history.Archive {
	id := strings.Repeat("ab", 32)
	at := now.Add(-6 * time.Hour)
	failed := record.Record{Job: job, Kind: "files", Outcome: record.Failed, Exit: 1, Error: failure, Start: at, End: at.Add(time.Hour), Schedule: "0 3 * * *", Zone: "UTC"}
	return []history.Archive{
		{ID: id, Host: host, Job: job, Kind: "mysql-dump", Stored: at, End: at, Complete: true, Counts: true, Labels: map[string]string{"position": "mysql-bin.000123:45678901 gtid=0-1-5 flavor=mariadb"},
			Statistics: map[string]uint64{"bytes": 1 << 40, "bytes_stored": 1 << 30, "unread": 2}},
		{ID: strings.Repeat("cd", 32), Host: host, Job: "run " + job, Kind: record.Run, Stored: at.Add(time.Hour), End: at.Add(time.Hour), Counts: true, Labels: failed.Labels()},
	}
}

func show(lines []overview.Line, width int) []string {
	var b strings.Builder
	overview.Show(&b, lines, now, width)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// Whatever hosts call things: a job is one row that fits, and what is said of it begins with its name.
func TestTable(t *testing.T) {
	for _, s := range []string{"shop", "", " ", "a b", "x\nweb1 ok", "\x1b[2J", "\xff\\", strings.Repeat("語", 300), strings.Repeat("e\u0301", 300), "\u202eevil", strings.Repeat("\x00", 500)} {
		lines := overview.Lines(history.Read(archives(s, cmp.Or(s, "etc"), s), now), overview.Options{Now: now})
		if len(lines) != 1 || !lines[0].Alarm || lines[0].State != overview.Failed {
			t.Fatalf("%q: %+v", s, lines)
		}
		if _, err := json.Marshal(lines); err != nil {
			t.Error(err)
		}
		for _, width := range []int{0, 40, 80, 100, 120, 200} {
			rows := show(lines, width)
			if want := 3; len(rows) > want+1 || strings.TrimSpace(rows[0]) != rows[0] {
				t.Errorf("%q: %d lines: %q", s, len(rows), rows)
			}
			for i, row := range rows {
				if strings.IndexFunc(row, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
					t.Errorf("%q is shown as %q", s, row)
				}
				if w := runewidth.StringWidth(row); i < 2 && width >= 80 && w > width {
					t.Errorf("%q: %d columns of %d: %s", s, w, width, row)
				}
			}
		}
	}
	wide := show(overview.Lines(history.Read(archives("db1", "shop", "x"), now), overview.Options{Now: now}), 0)
	for i, want := range []string{"HOST  JOB   KIND   STATE   SUCCESS  NEXT    SIZE     ADDED    POSITION", "db1   shop  files  failed  6h       in 18h  1.0 TiB  1.0 GiB  mysql-bin.000123:45678901", "db1 shop: failed, exit code 1: x", "db1 shop: files that could not be read: 2"} {
		if wide[i] != want {
			t.Errorf("line %d is\n%s, want\n%s", i, wide[i], want)
		}
	}
}

// The newest archive of a server without a binary log has no position, whatever the one before had.
func TestNoPosition(t *testing.T) {
	all := archives("db1", "shop", "x")[:1]
	newer := all[0]
	newer.ID, newer.Stored, newer.Labels = strings.Repeat("ef", 32), now.Add(-time.Hour), map[string]string{"no-position": "binary log off"}
	lines := overview.Lines(history.Read(append(all, newer), now), overview.Options{Now: now})
	if rows := show(lines, 0); lines[0].Position != nil || lines[0].NoPosition != "binary log off" || !strings.HasSuffix(rows[1], "  none: binary log off") {
		t.Errorf("%+v\n%q", lines[0], rows)
	}
}

func TestIgnore(t *testing.T) {
	jobs := history.Read(archives("db1", "shop", "x"), now)
	for ignore, alarm := range map[string]bool{"shop": false, "db1:shop": false, "web1:shop": true, "db1": true, "": true} {
		if got := overview.Lines(jobs, overview.Options{Now: now, Ignore: []string{ignore}})[0].Alarm; got != alarm {
			t.Errorf("--ignore %q: alarm is %v", ignore, got)
		}
	}
	gone := overview.Options{Now: now, Enrolled: func(string) bool { return false }}
	if l := overview.Lines(jobs, gone)[0]; l.Alarm || l.State != overview.Ended {
		t.Errorf("of a host that is no more: %+v", l)
	}
}

// What this machine knows by itself: jobs that never ran, and runs that the repository was not told of.
func TestLocal(t *testing.T) {
	jobs := history.Read(archives("db1", "shop", "x"), now)
	failed := overview.Run{Ended: now, Outcome: record.Failed, Exit: 1, Error: "no route to host"}
	done := overview.Run{Ended: now, Outcome: record.Done}
	for _, c := range []struct {
		what  string
		local overview.Local
		state string
		lines int
	}{
		{"told", overview.Local{Job: "shop", Ran: true, Last: overview.Run{Ended: now.Add(-9 * time.Hour), Outcome: record.Done}}, overview.Failed, 1},
		{"told, and not yet recorded", overview.Local{Job: "shop", Ran: true, Last: done}, overview.OK, 1},
		{"waits", overview.Local{Job: "shop", Ran: true, Waiting: true, Last: done, Success: now}, overview.OK, 1},
		{"waits, late", overview.Local{Job: "shop", Ran: true, Waiting: true, Last: failed, Overdue: now.Add(-1)}, overview.Overdue, 1},
		{"never", overview.Local{Job: "etc", Due: now.Add(time.Hour), Overdue: now.Add(time.Hour)}, overview.Never, 2},
		{"never, and it should have", overview.Local{Job: "etc", Due: now.Add(time.Hour), Overdue: now.Add(-time.Hour)}, overview.Overdue, 2},
		{"never told", overview.Local{Job: "etc", Ran: true, Waiting: true, Last: failed}, overview.Failed, 2},
	} {
		lines := overview.Lines(jobs, overview.Options{Now: now, Here: "db1", Local: []overview.Local{c.local}})
		if len(lines) != c.lines {
			t.Fatalf("%s: %d lines", c.what, len(lines))
		}
		for _, l := range lines {
			if l.Job == c.local.Job && (l.State != c.state || l.Alarm != (c.state == overview.Overdue || c.state == overview.Failed)) {
				t.Errorf("%s: %+v", c.what, l)
			}
		}
		show(lines, 80)
	}
}

// TestLocalDue wants the next run to be told of a job whose record names no zone that others could know.
func TestLocalDue(t *testing.T) {
	at := now.Add(-6 * time.Hour)
	r := record.Record{Job: "etc", Kind: "files", Outcome: record.Done, Start: at, End: at, Schedule: "0 3 * * *", Zone: "Local"}
	jobs := history.Read([]history.Archive{{ID: strings.Repeat("cd", 32), Host: "db1", Job: "run etc", Kind: record.Run, Stored: at, End: at, Counts: true, Labels: r.Labels()}}, now)
	due := now.Add(18 * time.Hour)
	local := overview.Local{Job: "etc", Ran: true, Last: overview.Run{Ended: at, Outcome: record.Done}, Due: due}
	lines := overview.Lines(jobs, overview.Options{Now: now, Here: "db1", Local: []overview.Local{local}})
	if len(lines) != 1 || !lines[0].Due.Equal(due) {
		t.Errorf("lines: %+v", lines)
	}
}

// TestRunning has a service that runs be shown as one until a record says that it ended, also where its archives are newer; and what it has not saved yet.
func TestRunning(t *testing.T) {
	at := now.Add(-6 * time.Hour)
	r := record.Record{Job: "logs", Kind: "binlog", Outcome: record.Done, Start: at, End: at.Add(time.Hour), Notes: map[string]string{history.Running: "yes"}}
	record := func(r record.Record, id string) history.Archive {
		return history.Archive{ID: strings.Repeat(id, 64), Host: "db1", Job: "run logs", Kind: "run", Stored: r.End, End: r.End, Counts: true, Labels: r.Labels()}
	}
	all := []history.Archive{record(r, "a"), {
		ID: strings.Repeat("b", 64), Host: "db1", Job: "logs", Kind: "mysql-binlog", Stored: now.Add(-time.Hour), End: now.Add(-time.Hour), Counts: true, Complete: true,
		Labels: map[string]string{"position": "bin.000007:1234", overview.Behind: "2048"},
	}}
	l := overview.Lines(history.Read(all, now), overview.Options{Now: now})[0]
	if !l.Running.Equal(at) || l.State != overview.OK {
		t.Errorf("a service that runs: %+v", l)
	}
	for _, want := range []string{"bin.000007:1234 (2.0 KiB behind)", "db1 logs: a service, which runs since "} {
		if text := strings.Join(show([]overview.Line{l}, 0), "\n"); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	r.End, r.Notes = now, nil
	if l := overview.Lines(history.Read(append(all, record(r, "c")), now), overview.Options{Now: now})[0]; !l.Running.IsZero() {
		t.Errorf("a service that ended: %+v", l)
	}
}
