package lock_test

import (
	"errors"
	"testing"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/servertest"
)

func TestCluster(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		var real *servertest.Server
		switch k {
		case servertest.MariaDB1011:
			real = servertest.Start(t, k, "--wsrep-on=ON", "--wsrep-provider=none")
		case servertest.MySQL97:
			real = servertest.Start(t, k)
			real.Exec(t, "INSTALL PLUGIN group_replication SONAME 'group_replication.so'",
				"SET GLOBAL group_replication_group_name='aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa'")
		default:
			return // as the others of their makers
		}
		if _, err := lock.Take(t.Context(), open(t, real), lock.Options{}); !errors.Is(err, lock.ErrCluster) {
			t.Errorf("lock one of a cluster: %v", err)
		}
	})
}
