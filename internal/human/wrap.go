package human

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text at single blanks into lines of at most that many characters, of which all but the first begin with an indent. What has no such blank is
// not broken, and nothing is at a width of 0. Joined again by blanks, without the indent, the lines are the text.
func Wrap(text, indent string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	var lines strings.Builder
	used, begin := 0, 0 // characters on the line; where the next word begins
	for i := 1; i <= len(text); i++ {
		if i < len(text) && !(text[i] == ' ' && text[i-1] != ' ' && i+1 < len(text) && text[i+1] != ' ') {
			continue
		}
		word := text[begin:i]
		n := utf8.RuneCountInString(word)
		switch {
		case begin == 0:
		case used+1+n > width:
			lines.WriteString("\n" + indent)
			used = utf8.RuneCountInString(indent)
		default:
			lines.WriteByte(' ')
			used++
		}
		lines.WriteString(word)
		used, begin = used+n, i+1
	}
	return lines.String()
}
