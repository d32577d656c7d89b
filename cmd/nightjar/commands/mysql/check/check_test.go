package check

import (
	"slices"
	"strings"
	"testing"
)

func TestWrapped(t *testing.T) {
	word := strings.Repeat("é", 99)
	for text, want := range map[string][]string{
		"": nil, "GRANT x;": {"GRANT x;"}, word + "é b": {word + "é", "b"}, word + word + " b c": {word + word, "b c"}, "a " + word: {"a", word},
	} {
		if got := wrapped(text); !slices.Equal(got, want) {
			t.Errorf("%q is %q", text, got)
		}
	}
}
