package schema

import "strings"

// Canonical returns the definition of a table without what differs between a table and its copy: the next AUTO_INCREMENT, which rows
// change, the character set before a collation, which MySQL 8 prints or not by how the table was made, and DEFAULT NULL, which
// MariaDB does not print of some columns that a query made, and no statement can take away. Two tables are the same if theirs are equal. It is not for loading.
func Canonical(create string) string {
	all := tokens(create)
	var b strings.Builder
	done := 0
	cut := func(begin, end int) {
		b.WriteString(strings.TrimSuffix(create[done:begin], " "))
		done = end
	}
	for i := 0; i+2 < len(all); i++ {
		switch {
		case all[i].is(create, "AUTO_INCREMENT") && all[i+1].is(create, "="):
			cut(all[i].begin, all[i+2].end)
		case all[i].is(create, "DEFAULT") && all[i+1].is(create, "NULL"):
			cut(all[i].begin, all[i+1].end)
		case i+3 < len(all) && all[i].is(create, "CHARACTER") && all[i+1].is(create, "SET") && all[i+3].is(create, "COLLATE"):
			cut(all[i].begin, all[i+2].end)
		}
	}
	return b.String() + create[done:]
}
