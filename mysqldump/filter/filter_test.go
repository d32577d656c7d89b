package filter

import (
	"strings"
	"testing"
)

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.%", "a.b", true}, {"a.%", "ab.c", false}, {"a_.%", "ab.c", true}, {`a\_.%`, "ab.c", false}, {`a\_.%`, "a_.c", true}, {"%", "", true}, {"%.t%x", "a.t1x", true}, {"%.t%x", "a.t1xy", false},
		{"", "", true}, {"", "a", false}, {"a", "", false}, {strings.Repeat("%a", 50), strings.Repeat("a", 200) + "b", false}, {`\`, `\`, true},
	} {
		if got := like(c.pattern, c.name); got != c.want {
			t.Errorf("%q like %q: %v", c.name, c.pattern, got)
		}
	}
}
