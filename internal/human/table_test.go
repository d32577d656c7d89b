package human

import (
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	columns := []Column{
		{"ID", 0, []string{"1a2b", "ff"}},
		{"NOTE", 2, []string{"", ""}},
		{"LABELS", 3, []string{"position=bin.000001:4", ""}},
		{"SIZE", 1, []string{"1 B", "20 KiB"}},
		{"SOURCE", 0, []string{"数据库", "/etc"}},
	}
	wide := []string{
		"ID    LABELS                 SIZE    SOURCE",
		"1a2b  position=bin.000001:4  1 B     数据库",
		"ff                           20 KiB  /etc",
	}
	for width, want := range map[int][]string{
		0:  wide,
		43: wide,
		42: {"ID    SIZE    SOURCE", "1a2b  1 B     数据库", "ff    20 KiB  /etc"},
		20: {"ID    SIZE    SOURCE", "1a2b  1 B     数据库", "ff    20 KiB  /etc"},
		19: {"ID    SOURCE", "1a2b  数据库", "ff    /etc"},
		1:  {"ID    SOURCE", "1a2b  数据库", "ff    /etc"},
	} {
		if got := Table(columns, width); !slices.Equal(got, want) {
			t.Errorf("%d columns: %q", width, got)
		}
	}
	if got := Table([]Column{{Head: "ID"}, {Head: "SIZE"}}, 0); !slices.Equal(got, []string{"ID  SIZE"}) {
		t.Errorf("without rows: %q", got)
	}
	if got := Table(nil, 80); len(got) > 0 {
		t.Errorf("without columns: %q", got)
	}
}
