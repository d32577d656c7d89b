package request

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBackoff(t *testing.T) {
	const most = 1000
	for attempt := range 100 {
		if d := Backoff(attempt, most); d < 0 || d >= most {
			t.Fatalf("attempt %d waits %v", attempt, d)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\x1b[31mb\n\xff" + strings.Repeat("x", 1000)); !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n") || len(got) > 410 {
		t.Errorf("%q", got)
	}
}
