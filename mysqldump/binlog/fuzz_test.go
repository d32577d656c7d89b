package binlog_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nightjar/mysqldump/binlog"
)

// seed is the log of a real server that a seed of the fuzz target has.
func seed(t testing.TB, name string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "fuzz", "FuzzReader", name))
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.TrimSuffix(strings.TrimPrefix(string(file), "go test fuzz v1\n[]byte("), ")\n")
	content, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// read reads a log to its end or first error, with all that can be asked of its events.
func read(content string, each func(e *binlog.Event)) (*binlog.Reader, error) {
	r := binlog.NewReader(strings.NewReader(content))
	var s binlog.Scanner
	for {
		e, err := r.Next()
		if err != nil {
			return r, err
		}
		if _, err := s.Add(&e); err == nil {
			s.Span()
		}
		e.GTID()
		e.Statement()
		e.Table()
		e.Rows()
		e.Payload()
		e.Expand()
		e.ParseBefore()
		each(&e)
	}
}

func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		at := uint64(binlog.Start)
		r, _ := read(string(content), func(e *binlog.Event) {
			if e.At != at || e.Next != at+uint64(len(e.Raw)) || string(content[e.At:e.Next]) != string(e.Raw) {
				t.Fatalf("event %+v does not follow %d", e, at)
			}
			at = e.Next
		})
		if r.At() != at {
			t.Fatalf("whole up to %d, not %d", r.At(), at)
		}
	})
}

// FuzzBodies asks for what is in bodies that no checksum protects.
func FuzzBodies(f *testing.F) {
	for _, kind := range []string{"mariadb-10.11-0", "mysql-5.7-0", "mariadb-11.8-0", "mysql-9.7-0"} {
		read(seed(f, kind), func(e *binlog.Event) { f.Add(byte(e.Type), append([]byte{}, e.Body()...)) })
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		e := binlog.Event{Type: binlog.Type(kind), At: 4, Next: 23 + uint64(len(body)), Raw: append(make([]byte, 19), body...)}
		var s binlog.Scanner
		s.Add(&e)
		e.GTID()
		e.Statement()
		e.Table()
		e.Rows()
		e.Payload()
		e.Expand()
		e.ParseBefore()
		binlog.ParseRotate(body)
	})
}
