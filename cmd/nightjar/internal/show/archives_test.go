package show

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nightjar/repo"
)

func table(archives ...repo.Archive) []string { return narrow(0, archives...) }

func narrow(width int, archives ...repo.Archive) []string {
	var b strings.Builder
	Archives(&b, archives, nil, width)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func archive(change func(*repo.Archive)) repo.Archive {
	a := repo.Archive{ID: strings.Repeat("1a", 32), Record: repo.Record{
		Host: "db1", Job: "nightly", Kind: repo.Files, Paths: []repo.Text{"/etc", "/srv"}, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Complete: true,
		Statistics: map[string]uint64{"files": 12345, "bytes": 1 << 40, "bytes_stored": 1 << 30},
	}}
	change(&a)
	return a
}

// Who labels nothing has no column for it, and who does has lines that fit a terminal.
func TestArchives(t *testing.T) {
	plain := archive(func(*repo.Archive) {})
	logs := archive(func(a *repo.Archive) {
		a.Kind, a.Paths, a.Job = "mysql-binlog", nil, "mysql"
		a.Labels = repo.Labels{"position": "binlog.000123:45678901", repo.Needs: repo.Text(strings.Repeat("2b", 32))}
	})
	lines := table(plain)
	if got := strings.Fields(lines[0]); strings.Join(got, " ") != "ID TIME HOST FILES SIZE ADDED SOURCE" {
		t.Errorf("columns of plain archives: %q", got)
	}
	if n := len(lines[1]); n > 80 || !strings.HasSuffix(lines[1], "  /etc /srv") {
		t.Errorf("%d columns: %s", n, lines[1])
	}
	lines = table(plain, logs)
	if got := strings.Fields(lines[0]); strings.Join(got, " ") != "ID TIME HOST KIND FILES SIZE ADDED LABELS SOURCE" {
		t.Errorf("columns of labelled archives: %q", got)
	}
	for _, want := range []string{"  mysql-binlog  ", "  position=binlog.000123:45678901 …  mysql"} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("%q is not in %s", want, lines[2])
		}
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, line := range narrow(80, plain, logs) {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns of a terminal with 80: %s", n, line)
		}
	}
	standing := archive(func(a *repo.Archive) {
		a.Complete, a.Standing, a.Forgotten, a.Tags = false, repo.Late|repo.Repeated, a.Time, []repo.Text{"a", "b,c"}
	})
	if line := table(standing)[1]; !strings.HasSuffix(line, `  a,"b,c"  /etc /srv (incomplete) (late) (repeated) (forgotten)`) {
		t.Errorf("%s", line)
	}
}

// Nothing that a host says of itself moves a cursor, ends a line, or passes for another label.
func TestLabels(t *testing.T) {
	for want, l := range map[string]repo.Labels{
		"a=1 b=2":                         {"b": "2", "a": "1"},
		`x="1 position=evil"`:             {"x": "1 position=evil"},
		`"x=1 y"=2`:                       {"x=1 y": "2"},
		`q="\"\" "`:                       {"q": `"" `},
		"position=bin.000007:1234 a=1":    {"a": "1", "position": "bin.000007:1234 gtid=0-1-5 server-id=1 flavor=mariadb"},
		"no position: binary log off a=1": {"a": "1", "no-position": "binary log off"}, `no-position="off a=1"`: {"no-position": "off a=1"},
		`x=` + `\x1b[2J`:              {"x": "\x1b[2J"},
		`\n=\t`:                       {"\n": "\t"},
		`x=\xff`:                      {"x": "\xff"},
		`x=""`:                        {"x": ""},
		"z=1 needs=22222222":          {repo.Needs: repo.Text(strings.Repeat("2", 64)), "z": "1"},
		"":                            {repo.Needs: "nothing"},
		strings.Repeat("é", 32) + "…": {repo.Text(strings.Repeat("é", 1<<20)): "1"},
	} {
		a := archive(func(a *repo.Archive) { a.Labels = l })
		if got := labels(&a); got != want {
			t.Errorf("%q is shown as %s, want %s", l, got, want)
		}
		if n := len(table(a)); n != 2 {
			t.Errorf("%q takes %d lines", l, n)
		}
	}
}
