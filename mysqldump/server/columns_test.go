package server

import "testing"

func TestColumnsOf(t *testing.T) {
	for statement, want := range map[string]int{
		"SELECT 1":                                                   1,
		"SELECT a, b FROM t ORDER BY a, b, c":                        2,
		"SELECT f(a, 'b'), c, (SELECT d, e FROM f)":                  3,
		"SELECT `a``, FROM `, 'it''s, ', \"\\\", \", '\\', ' FROM x": 4,
		"SELECT a, b\n\tFROM t ORDER BY a, b, c":                     2,
		"SELECT *\nFROM t":                                           1,
		"SELECT 'it does not end, FROM":                              1,
		"SHOW CREATE USER `a`@`b`":                                   1,
		"SHOW CREATE TABLE t":                                        2,
		"SHOW GRANTS":                                                0,
		"SHOW GLOBAL STATUS LIKE 'Uptime'":                           2,
		"INSERT INTO t VALUES (1, 2), (3)":                           0,
		"SHOW ENGINE INNODB STATUS":                                  3,
		"SELECT COUNT(*), IFNULL(MAX(a),',')":                        2,
	} {
		if got := columnsOf(statement); got != want {
			t.Errorf("%q: %d, not %d", statement, got, want)
		}
	}
}
