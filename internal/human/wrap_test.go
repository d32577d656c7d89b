package human

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWrap(t *testing.T) {
	word := strings.Repeat("é", 99)
	for _, x := range []struct {
		text, indent string
		width        int
		want         string
	}{
		{"one two three", "  ", 0, "one two three"},
		{"one two three", "  ", 13, "one two three"},
		{"one two three", "  ", 12, "one two\n  three"},
		{"one two three", "  ", 7, "one two\n  three"},
		{"one two three", "  ", 1, "one\n  two\n  three"},
		{"a /long/name/without/blanks b", "  ", 8, "a\n  /long/name/without/blanks\n  b"},
		{"größer als fünf", "", 10, "größer als\nfünf"},
		{"two  blanks stay", " ", 10, "two  blanks\n stay"},
		{"    indented, and more", "    ", 16, "    indented,\n    and more"},
		{word + "é b", "", 100, word + "é\nb"},
		{word + word + " b c", "", 100, word + word + "\nb c"},
		{"a " + word, "", 100, "a\n" + word},
		{"", " ", 10, ""},
	} {
		if got := Wrap(x.text, x.indent, x.width); got != x.want {
			t.Errorf("%q at %d: %q, not %q", x.text, x.width, got, x.want)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two  three ", 7)
	f.Add("ü /a b", 3)
	f.Fuzz(func(t *testing.T, text string, width int) {
		if strings.Contains(text, "\n") || width > 1<<20 {
			return
		}
		const indent = "\t"
		got := Wrap(text, indent, width)
		if back := strings.ReplaceAll(got, "\n"+indent, " "); back != text && !strings.Contains(text, indent) {
			t.Errorf("%q became %q", text, back)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if width > 0 && utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimPrefix(line, indent), " ") && !strings.Contains(text, "  ") && strings.TrimSpace(text) == text {
				t.Errorf("%q is longer than %d", line, width)
			}
		}
	})
}
