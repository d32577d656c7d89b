package account

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
		var g Grants
		for _, row := range c.rows {
			g.add(row)
		}
		for _, p := range strings.Fields(c.has) {
			if !g.Has(p) {
				t.Errorf("%q lacks %s", c.rows, p)
			}
		}
		for _, p := range strings.Fields(c.not) {
			if g.Has(p) {
				t.Errorf("%q has %s", c.rows, p)
			}
		}
	}
}

func TestScopedGrants(t *testing.T) {
	var g Grants
	for _, row := range []string{
		"GRANT USAGE ON *.* TO `a`@`%`",
		"GRANT SELECT, TRIGGER ON `shop\\_1`.* TO `a`@`%`",
		"GRANT EVENT ON `w%i`.* TO `a`@`%`",
		"GRANT ALL PRIVILEGES ON `own``s`.* TO `a`@`%`",
		"GRANT SELECT ON `other`.`t` TO `a`@`%`",
		"GRANT UPDATE (`c`) ON `other`.`t` TO `a`@`%`",
		"GRANT EXECUTE ON PROCEDURE `other`.`p` TO `a`@`%`",
	} {
		g.add(row)
	}
	for _, c := range []struct {
		privilege, database, table string
		want                       bool
	}{
		{"SELECT", "shop_1", "", true}, {"SELECT", "shop_1", "t", true}, {"SELECT", "shopx1", "", false}, {"EVENT", "shop_1", "", false},
		{"EVENT", "wiki", "", true}, {"EVENT", "wi", "", true}, {"EVENT", "wik", "", false},
		{"TRIGGER", "own`s", "t", true}, {"TRIGGER", "own", "t", false},
		{"SELECT", "other", "t", true}, {"SELECT", "other", "", false}, {"SELECT", "other", "u", false}, {"UPDATE", "other", "t", false},
		{"EXECUTE", "other", "p", false}, {"SELECT", "", "", false},
	} {
		if got := g.HasOn(c.privilege, c.database, c.table); got != c.want {
			t.Errorf("%s on %q.%q: %v", c.privilege, c.database, c.table, got)
		}
	}
	g.add("REVOKE SELECT ON `shop_1`.* FROM `a`@`%`")
	if g.HasOn("SELECT", "shop_1", "") {
		t.Error("what was revoked somewhere counts")
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
		a := parseLogin(c.row)
		if !slices.Equal(a.Plugins, c.plugins) || strings.Contains(a.Row, "secret") || strings.Contains(a.Row, "94BD") {
			t.Errorf("%s: %+v, want %q", c.row, a, c.plugins)
		}
	}
}

func FuzzGrantRow(f *testing.F) {
	for _, s := range []string{"GRANT SELECT, RELOAD ON *.* TO `a`@`%`", "GRANT `r` TO `a`@`%`", "GRANT SELECT (`a`) ON `d`.`t` TO 'x'", "GRANT ", "REVOKE X ON *.* FROM y", "GRANT ` ON *.* TO `"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, row string) {
		var g Grants
		g.add(row)
		if g.Has("SELECT") && (!strings.HasPrefix(row, "GRANT ") || !strings.Contains(row, " ON *.* TO ")) {
			t.Errorf("%q gives everything", row)
		}
	})
}

func FuzzAccountRow(f *testing.F) {
	for _, s := range []string{"CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'secret' OR unix_socket", "IDENTIFIED WITH", "CREATE USER 'a'@'%' IDENTIFIED BY", "' VIA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, row string) {
		if a := parseLogin(row); strings.ContainsAny(a.Row, "'`\"") {
			t.Errorf("%q keeps what is quoted: %q", row, a.Row)
		}
	})
}
