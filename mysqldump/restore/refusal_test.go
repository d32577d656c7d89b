package restore

import (
	"context"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// What servers refuse in their default settings comes back: foreign keys to keys that are not unique, and functions that may change something
// beside a binary log. What only an administrator of the server can change is named.
func TestRefusals(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		if k == servertest.MySQL97 {
			s.Exec(t, "SET GLOBAL restrict_fk_on_non_standard_key=0")
		}
		s.Exec(t, "SET GLOBAL log_bin_trust_function_creators=1", "CREATE DATABASE d", "USE d", "CREATE TABLE p (a INT, KEY (a))",
			"CREATE TABLE c (a INT, CONSTRAINT q FOREIGN KEY (a) REFERENCES p (a))", "CREATE TABLE n (a INT)",
			"CREATE USER loader@'%' IDENTIFIED BY 'x'", "CREATE DEFINER=loader@'%' FUNCTION f() RETURNS INT BEGIN INSERT INTO n VALUES (1); RETURN 1; END", "CREATE DEFINER=loader@'%' FUNCTION g() RETURNS INT RETURN RAND()",
			"CREATE USER two@'%'")
		if k.MariaDB() {
			s.Exec(t, "CREATE ROLE reader", "GRANT reader TO two@'%'")
		}
		m, _ := nightly(t, s)
		if k == servertest.MySQL97 {
			s.Exec(t, "SET GLOBAL restrict_fk_on_non_standard_key=1")
		}
		trust := func() string { return s.Query(t, "SELECT @@GLOBAL.log_bin_trust_function_creators")[0][0] }
		s.Exec(t, "SET GLOBAL log_bin_trust_function_creators=0", "DROP DATABASE d", "DROP USER two@'%'")
		restored(t, serverOf(t, s), m, Options{})
		for _, o := range []Options{{Existing: Replace, KeepKeys: true}, {Existing: Replace, NoBinlog: true, Accounts: ReplaceAccounts}} {
			restored(t, serverOf(t, s), m, o)
			if trust() != "0" {
				t.Errorf("the setting stays after %+v", o)
			}
		}
		// What refers to a table stays, and wants its key, when the table is made anew.
		s.Exec(t, "INSERT INTO d.p VALUES (7)")
		restored(t, serverOf(t, s), m, Options{Existing: IfChanged})
		ctx, cancel := context.WithCancel(t.Context())
		m.middle("50-program.d.g.000000.sql", cancel)
		_, text := ended(ctx, serverOf(t, s), m, Options{Existing: Replace})
		if trust() != "0" || !strings.Contains(text, "canceled") {
			t.Errorf("the setting stays after an interruption: %s", text)
		}
		m.read = nil

		s.Exec(t, "GRANT SELECT, INSERT, CREATE, DROP, ALTER, REFERENCES, INDEX, CREATE ROUTINE, ALTER ROUTINE ON *.* TO loader@'%'")
		srv := serverOf(t, s)
		_, text = ended(t.Context(), as(t, s, "loader", "x"), m, Options{Existing: Replace, Accounts: SkipAccounts})
		if !strings.Contains(text, "log_bin_trust_function_creators=1, which the account may not set") {
			t.Error(text)
		}
		if k.MariaDB() {
			s.Exec(t, "DROP ROLE reader", "DROP USER two@'%'", "CREATE ROLE reader WITH ADMIN loader@'%'")
			if _, text = ended(t.Context(), srv, m, Options{Existing: Replace}); !strings.Contains(text, "a role that is there can be granted by its administrators only") {
				t.Error(text)
			}
		}
	})
}
