package program

import "testing"

func TestSeries(t *testing.T) {
	for text, want := range map[string]string{
		"mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)": "10.11", "mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 ((Debian))": "9.7",
		"mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu": "10.11", "mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64": "", "5.7.29-log": "5.7", "11.8.9-MariaDB-0+deb13u1 from Debian-log": "11.8", "": "",
	} {
		if got := Series(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if Older("10.11", "10.4") || !Older("9.7", "10.1") || Older("5.7", "5.7") {
		t.Error("versions are not in order")
	}
}
