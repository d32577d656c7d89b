package check

import (
	"slices"
	"strings"
	"testing"
)

func TestGrantRows(t *testing.T) {
	for _, c := range []struct {
		rows []string
		has  string
		not  string
	}{
		{[]string{"GRANT SELECT, RELOAD ON *.* TO `a`@`%`"}, "SELECT RELOAD", "PROCESS SUPER"},
		{[]string{"GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' IDENTIFIED BY PASSWORD '*00 ON *.*' WITH GRANT OPTION"}, "SELECT SUPER", ""},
		{[]string{"GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `a`.* TO `a`@`%`"}, "", "SELECT"},
		{[]string{"GRANT SELECT (`a ON *.* TO`, b), UPDATE ON `d`.`t` TO `a`@`%`"}, "", "SELECT UPDATE"},
		{[]string{"GRANT SELECT ON *.* TO `a`@`%`", "REVOKE SELECT ON `mysql`.* FROM `a`@`%`"}, "", "SELECT"},
		{[]string{"GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION"}, "", "PROXY"},
		{[]string{"GRANT `r ON *.* TO x`@`%` TO `a`@`%`"}, "", "SELECT"},
		{[]string{"GRANT EXECUTE ON PROCEDURE `*.* TO`.`p` TO `a`@`%`"}, "", "EXECUTE"},
	} {
		var g grants
		for _, row := range c.rows {
			g.add(row)
		}
		for _, p := range strings.Fields(c.has) {
			if !g.has(p) {
				t.Errorf("%q lacks %s", c.rows, p)
			}
		}
		for _, p := range strings.Fields(c.not) {
			if g.has(p) {
				t.Errorf("%q has %s", c.rows, p)
			}
		}
	}
}

func TestAccountRows(t *testing.T) {
	for _, c := range []struct {
		row     string
		plugins []string
	}{
		{"CREATE USER `root`@`localhost`", []string{"mysql_native_password"}},
		{"CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'", []string{"mysql_native_password"}},
		{"CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'secret' OR unix_socket REQUIRE SSL", []string{"ed25519", "unix_socket"}},
		{"CREATE USER 'a'@'%' IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$secret' REQUIRE NONE PASSWORD EXPIRE INTERVAL 90 DAY ACCOUNT UNLOCK", []string{"caching_sha2_password"}},
		{"CREATE USER 'VIA x'@'%' IDENTIFIED WITH 'mysql_native_password' AS 'secret' WITH MAX_QUERIES_PER_HOUR 5", []string{"mysql_native_password"}},
	} {
		a := parseAccount(c.row)
		if !slices.Equal(a.plugins, c.plugins) || strings.Contains(a.row, "secret") || strings.Contains(a.row, "94BD") {
			t.Errorf("%s: %+v, want %q", c.row, a, c.plugins)
		}
	}
}

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

func FuzzGrantRow(f *testing.F) {
	for _, s := range []string{"GRANT SELECT, RELOAD ON *.* TO `a`@`%`", "GRANT `r` TO `a`@`%`", "GRANT SELECT (`a`) ON `d`.`t` TO 'x'", "GRANT ", "REVOKE X ON *.* FROM y", "GRANT ` ON *.* TO `"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, row string) {
		var g grants
		g.add(row)
		if g.has("SELECT") && (!strings.HasPrefix(row, "GRANT ") || !strings.Contains(row, " ON *.* TO ")) {
			t.Errorf("%q gives everything", row)
		}
	})
}

func FuzzAccountRow(f *testing.F) {
	for _, s := range []string{"CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'secret' OR unix_socket", "IDENTIFIED WITH", "CREATE USER 'a'@'%' IDENTIFIED BY", "' VIA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, row string) {
		if a := parseAccount(row); strings.ContainsAny(a.row, "'`\"") {
			t.Errorf("%q keeps what is quoted: %q", row, a.row)
		}
	})
}
