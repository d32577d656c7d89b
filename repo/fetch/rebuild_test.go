package fetch

import (
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/chunk/delta"
)

// A group ends where chunks share no source, if there is such a place.
func TestCut(t *testing.T) {
	for _, tt := range []struct {
		sources string // of each chunk
		want    int
	}{
		{"a b", 1},
		{"a a", 1},
		{"a b c d", 3},
		{"a b c c", 3}, // 2 is but half of it
		{"a b c d d", 3},
		{"a b c d de", 3},
		{"a b c d e ef df", 6},
		{"a b c d e ef gf", 4},
		{"a b c d e f ga", 6},
	} {
		var some []*rebuild
		for _, names := range strings.Fields(tt.sources) {
			r := &delta.Recipe{}
			for _, name := range names {
				r.Sources = append(r.Sources, delta.Source{ID: chunk.ID{byte(name)}, Length: 1})
			}
			some = append(some, &rebuild{recipe: r})
		}
		if got := cut(some); got != tt.want {
			t.Errorf("%q is cut at %d, not at %d", tt.sources, got, tt.want)
		}
	}
}
