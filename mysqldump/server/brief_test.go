package server

import (
	"strings"
	"testing"
)

func TestBrief(t *testing.T) {
	for statement, want := range map[string]string{
		"SHOW GRANTS":                       "SHOW GRANTS",
		"CREATE TABLE `a` (\n  `b` int\n)":  "CREATE TABLE `a` ( `b` int )",
		`SELECT "\"`:                        `SELECT "\"`,
		"SELECT " + strings.Repeat("x", 73): "SELECT " + strings.Repeat("x", 73),
		"SELECT " + strings.Repeat("x", 74): "SELECT " + strings.Repeat("x", 73) + "…",
		"SELECT " + strings.Repeat("é", 37): "SELECT " + strings.Repeat("é", 36) + "…",
		"a" + strings.Repeat(" ", 1000):     "a…",
	} {
		if got := brief(statement); got != want {
			t.Errorf("%q is %q, not %q", statement, got, want)
		}
	}
}
