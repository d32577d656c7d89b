package script

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	rows := []string{"(1,'a')", `(2,'),(\'b')`, "(3,_utf8mb4'{\"x\": \"(\"}')", "(4,NULL)", "(5,'" + strings.Repeat("x", 50) + "')"}
	head := "INSERT INTO `t` (`a`,`values`) VALUES\n"
	statement := head + strings.Join(rows, ",\n")
	for most := len(head) + 58; most <= len(statement); most++ {
		pieces, err := Split([]byte(statement), most)
		if err != nil {
			t.Fatalf("%d: %v", most, err)
		}
		var got []string
		for _, p := range pieces {
			h, found, err := rowsOf(p)
			if err != nil || len(p) > most || strings.TrimSpace(string(h)) != strings.TrimSpace(head) {
				t.Fatalf("%d: %q: %v", most, p, err)
			}
			for _, row := range found {
				got = append(got, string(row))
			}
		}
		if !slices.Equal(got, rows) {
			t.Fatalf("%d: %q", most, got)
		}
	}
	for _, bad := range []string{statement + " ON DUPLICATE KEY UPDATE a=1", head, head + "(1", "CREATE TABLE t (a int)", head + "(1),'x'"} {
		if pieces, err := Split([]byte(bad), 10); err == nil {
			t.Errorf("%q is split: %q", bad, pieces)
		}
	}
	if _, err := Split([]byte(statement), len(head)+20); err == nil || !strings.Contains(err.Error(), "max_allowed_packet") {
		t.Errorf("a row that is too large: %v", err)
	}
}

// No statement is cut so that a piece is too large, whatever it is.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"INSERT INTO t VALUES (1,'\\'),(')),(2)", "INSERT INTO t VALUES (1),(2)", "VALUES (", "VALUES (1)/*"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, statement []byte) {
		if pieces, err := Split(statement, 12); err == nil {
			for _, p := range pieces {
				if len(p) > 12 {
					t.Fatalf("%q is split into %q", statement, pieces)
				}
			}
		}
	})
}
