package restore

import (
	"fmt"
	"strings"
	"testing"

	"nightjar/mysqldump/script"
	"nightjar/mysqldump/servertest"
)

// Accounts that are there are left or replaced, and the one that restores is left in any case.
func TestAccounts(t *testing.T) {
	for _, k := range always {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			target := serverOf(t, s)
			m := &memory{files: map[string]*memoryFile{}, opens: map[string]int{}}
			login := "IDENTIFIED WITH 'mysql_native_password' AS"
			if k.MariaDB() {
				login = "IDENTIFIED BY PASSWORD"
			}
			add := func(step, name string, statements ...string) {
				m.add(script.Accounts, "", name, -1, nil, func(w *script.Writer) {
					for _, statement := range statements {
						w.Statement(statement)
					}
				})
				file := script.Name(script.Accounts, "", name, -1)
				m.files[strings.Replace(file, "55-account.", "55-account."+step, 1)] = m.files[file]
				delete(m.files, file)
			}
			for _, name := range []string{"`app`@`%`", "`root`@`localhost`", "`mariadb.sys`@`localhost`"} {
				add("1-made", name, "CREATE USER IF NOT EXISTS "+name+" "+login+" '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'")
				add("2-granted", name, "GRANT SELECT ON `shop`.* TO "+name)
			}
			grants := func() string { return fmt.Sprint(s.Query(t, "SHOW GRANTS FOR app@'%'")) }
			s.Exec(t, "CREATE USER app@'%'", "GRANT DELETE ON *.* TO app@'%'")
			if r := restored(t, target, m, Options{}); r.Done[script.Accounts] != 0 || !strings.Contains(grants(), "DELETE") {
				t.Errorf("%+v, %s", r, grants())
			}
			if r := restored(t, target, m, Options{Accounts: ReplaceAccounts}); r.Done[script.Accounts] != 2 || strings.Contains(grants(), "DELETE") || !strings.Contains(grants(), "SELECT") {
				t.Errorf("%+v, %s", r, grants())
			}
			s.Exec(t, "DROP USER app@'%'")
			if restored(t, target, m, Options{}); !strings.Contains(grants(), "SELECT") {
				t.Error(grants())
			}

			// One that a restore made before it was killed gets the rest, when it goes on; not what somebody made otherwise.
			s.Exec(t, "REVOKE SELECT ON shop.* FROM app@'%'")
			if r := restored(t, target, m, Options{}); strings.Contains(grants(), "SELECT") || len(r.Differences) > 0 {
				t.Errorf("an account that is to be left got a privilege: %s", grants())
			}
			if r := restored(t, target, m, Options{Existing: IfChanged}); !strings.Contains(grants(), "SELECT") || !strings.Contains(strings.Join(r.Notes, "\n"), "lacks") {
				t.Errorf("an account is still half made: %s\n%v", grants(), r.Notes)
			}
			s.Exec(t, "REVOKE SELECT ON shop.* FROM app@'%'", "GRANT INSERT ON shop.* TO app@'%'")
			if restored(t, target, m, Options{Existing: IfChanged}); strings.Contains(grants(), "SELECT") {
				t.Errorf("an account of somebody else's got a privilege: %s", grants())
			}

			// A grant that is refused is named, and stops no other.
			s.Exec(t, "DROP USER app@'%'")
			add("2-granted", "`app`@`%`", "GRANT EXECUTE ON PROCEDURE `nowhere`.`p` TO `app`@`%`", "GRANT SELECT ON `shop`.* TO `app`@`%`")
			result, text := ended(t.Context(), target, m, Options{})
			if len(result.Failures) != 1 || !strings.Contains(text, "GRANT EXECUTE ON PROCEDURE `nowhere`.`p`: ") || !strings.Contains(grants(), "SELECT") {
				t.Errorf("%s\n%s", text, grants())
			}
		})
	}
}
