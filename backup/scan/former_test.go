package scan

import "testing"

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"log", "log.1", true}, {"log.1", "log-20261124", true}, {"shop-2026-11-24.sql", "shop-2026-11-25.sql", true}, {"2026-11-24", "2026-11-25", true},
		{"report.doc", "report (2).doc", true}, {"ä1", "ä2", true}, {"0001", "0002", true},
		{"log.1", "log.2.gz", false}, {"2026-11-24", "2026-11-2", false}, {"2026-11-24", "20261124xx", false}, {"12-3", "1-23", false}, {"a", "", false},
		{"shop.sql", "crm.sql", false}, {"1", "a", false}, {"a1", "ab", false},
	} {
		if alike(tt.a, tt.b) != tt.want || alike(tt.b, tt.a) != tt.want {
			t.Errorf("%q and %q: not %v", tt.a, tt.b, tt.want)
		}
	}
}

// What is known by its inode is bounded; the largest are kept.
func TestInodesBounded(t *testing.T) {
	var x inodeTable
	for i := range uint64(maxInodes * 3 / 2) {
		x.add(inodeEntry{inode: i, size: int64(10_000 + i%3*100_000)})
		if len(x.entries) > maxInodes {
			t.Fatalf("%d entries", len(x.entries))
		}
	}
	large := 0
	for _, e := range x.entries {
		if e.size > 200_000 {
			large++
		}
	}
	if large != maxInodes/2 {
		t.Errorf("%d of the %d largest are left", large, maxInodes/2)
	}
}
