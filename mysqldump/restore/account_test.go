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
		})
	}
}
