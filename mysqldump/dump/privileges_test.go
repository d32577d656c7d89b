package dump

import (
	"errors"
	"testing"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// What a server hides from the account fails the dump: triggers and events would be missing, and databases too.
func TestPrivileges(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE `my_shop`", "CREATE DATABASE other", "USE my_shop", "CREATE TABLE t (a INT PRIMARY KEY)", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a=1",
			"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "CREATE TABLE other.t (a INT)", "CREATE USER b@'%' IDENTIFIED BY 'pw'")
		config := s.Config().Clone()
		config.User, config.Passwd = "b", "pw"
		srv, err := server.New(config)
		if err != nil {
			t.Fatal(err)
		}
		const always = "RELOAD, REPLICATION CLIENT"
		admin := ""
		if k == servertest.MySQL97 {
			admin = ", BACKUP_ADMIN"
		}
		if k.MariaDB() {
			admin = ", REPLICATION SLAVE ADMIN, SLAVE MONITOR"
		}
		one := choose.Selection{Databases: []string{"my*"}}
		for _, c := range []struct {
			what   string
			grants []string
			chosen choose.Selection
			bad    bool
		}{
			{"all", []string{"PROCESS, SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON *.*"}, choose.Selection{}, false},
			{"no triggers", []string{"PROCESS, SELECT, SHOW VIEW, EVENT, LOCK TABLES ON *.*"}, choose.Selection{}, true},
			{"no events", []string{"PROCESS, SELECT, SHOW VIEW, TRIGGER, LOCK TABLES ON *.*"}, choose.Selection{}, true},
			{"no identities", []string{"SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON *.*"}, choose.Selection{}, true},
			{"one database of two", []string{"PROCESS ON *.*", "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `my\\_shop`.*"}, choose.Selection{}, true},
			{"one database, chosen", []string{"PROCESS ON *.*", "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `my\\_shop`.*"}, one, false},
			{"one database, chosen, without events", []string{"PROCESS ON *.*", "SELECT, SHOW VIEW, TRIGGER, LOCK TABLES ON `my\\_shop`.*"}, one, true},
			{"one table, chosen", []string{"PROCESS ON *.*", "SELECT, TRIGGER ON my_shop.t"}, choose.Selection{Tables: []string{"my_shop.t"}}, false},
			{"one table, chosen, without triggers", []string{"PROCESS ON *.*", "SELECT ON my_shop.t"}, choose.Selection{Tables: []string{"my_shop.t"}}, true},
		} {
			statements := []string{"REVOKE ALL, GRANT OPTION FROM b@'%'", "GRANT " + always + admin + " ON *.* TO b@'%'"}
			for _, g := range c.grants {
				statements = append(statements, "GRANT "+g+" TO b@'%'")
			}
			s.Exec(t, statements...)
			o := options()
			o.Lock.Directory, o.Selection, o.Accounts = t.TempDir(), c.chosen, false
			_, err := Run(t.Context(), srv, &memory{}, o)
			if bad := errors.Is(err, ErrPrivileges); bad != c.bad || !bad && err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
	})
}
