package restore

import (
	"slices"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/servertest"
)

// A restore into a server of another version, which prints definitions in other words, goes on with what is there.
func TestOtherVersion(t *testing.T) {
	if !slices.Contains(servertest.Kinds(t), servertest.MySQL97) {
		return // make test says aloud that it is not there
	}
	from, to := servertest.Start(t, servertest.MySQL57), servertest.Start(t, servertest.MySQL97)
	fill(t, from)
	m, target := dumpOf(t, serverOf(t, from), 2, "shop"), serverOf(t, to)
	o := Options{From: mysqldump.Position{Flavor: mysqldump.MySQL, Version: "5.7.29"}}
	all := restored(t, target, m, o).Rows
	o.Existing = IfChanged
	if r := restored(t, target, m, o); r.Rows != 0 || r.Left[script.Tables] != r.Done[script.Tables] {
		t.Errorf("%d of %d rows are loaded again: %+v", r.Rows, all, r)
	}
	// What differs is loaded, and keys that are missing are made without loading.
	to.Exec(t, "USE shop", "ALTER TABLE orders DROP FOREIGN KEY fk", "ALTER TABLE orders DROP KEY k, DROP KEY u", "ALTER TABLE keyless MODIFY c VARCHAR(60)")
	if r := restored(t, target, m, o); r.Rows != 600 {
		t.Errorf("%d rows are loaded, not those of one table: %+v", r.Rows, r)
	}
	if r := restored(t, target, m, o); r.Rows != 0 || r.Left[script.Tables] != r.Done[script.Tables] {
		t.Errorf("%d of %d rows are loaded again: %+v", r.Rows, all, r)
	}
}
