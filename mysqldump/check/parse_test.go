package check

import (
	"strings"
	"testing"
)

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.%", "a.b", true}, {"a.%", "ab.c", false}, {"a_.%", "ab.c", true}, {`a\_.%`, "ab.c", false}, {`a\_.%`, "a_.c", true}, {"%", "", true}, {"%.t%x", "a.t1x", true}, {"%.t%x", "a.t1xy", false},
		{"", "", true}, {"", "a", false}, {"a", "", false}, {strings.Repeat("%a", 50), strings.Repeat("a", 200) + "b", false}, {`\`, `\`, true},
	} {
		if got := like(c.pattern, c.name); got != c.want {
			t.Errorf("%q like %q: %v", c.name, c.pattern, got)
		}
	}
}

func TestSeries(t *testing.T) {
	for text, want := range map[string]string{
		"mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)": "10.11", "mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 ((Debian))": "9.7",
		"mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu": "10.11", "mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64": "", "5.7.29-log": "5.7", "11.8.9-MariaDB-0+deb13u1 from Debian-log": "11.8", "": "",
	} {
		if got := series(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if older("10.11", "10.4") || !older("9.7", "10.1") || older("5.7", "5.7") {
		t.Error("versions are not in order")
	}
}
