package ranges

import (
	"fmt"
	"strings"
	"testing"
)

func TestRoundest(t *testing.T) {
	for _, c := range []struct{ low, high, want uint64 }{
		{0, 1, 1}, {1, 2, 2}, {5, 9, 8}, {1000, 1100, 1024}, {1024, 1100, 1088}, {3, 3, 3}, {0, ^uint64(0), 1 << 63}, {^uint64(0) - 1, ^uint64(0), ^uint64(0)},
	} {
		if got := roundest(c.low, c.high); got != c.want {
			t.Errorf("between %d and %d: %d, not %d", c.low, c.high, got, c.want)
		}
	}
}

func FuzzBound(f *testing.F) {
	f.Add(`["5"]`)
	f.Add(`["_utf8mb4 x'6162'","-1.5","'2020-01-01 00:00:00'"]`)
	f.Fuzz(func(t *testing.T, text string) {
		b := ParseBound(text)
		if b == nil {
			return
		}
		if again := ParseBound(b.String()); fmt.Sprint(again) != fmt.Sprint(b) {
			t.Errorf("%q became %q", b, again)
		}
		for _, literal := range b {
			if strings.Count(literal, "'")%2 != 0 || strings.ContainsAny(literal, ";\\`\"#*/\n") {
				t.Errorf("%q is no literal", literal)
			}
		}
	})
}
