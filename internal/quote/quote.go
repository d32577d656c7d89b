// Package quote writes names, which on Linux are any bytes, as text: reversibly for records, harmlessly for terminals.
package quote

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s as valid UTF-8 from which Bytes gets s back: a backslash is doubled, and every byte that is not part of valid UTF-8 becomes \xNN.
func Text(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Bytes undoes Text.
func Bytes(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i+1:], `\`):
			b.WriteByte('\\')
			i++
		case strings.HasPrefix(text[i+1:], "x") && len(text) >= i+4:
			v, err := strconv.ParseUint(text[i+2:i+4], 16, 8)
			if err != nil {
				return "", fmt.Errorf("unquote %q: %w", text, err)
			}
			b.WriteByte(byte(v))
			i += 3
		default:
			return "", fmt.Errorf("unquote %q: %w", text, errors.New("unknown escape"))
		}
	}
	return b.String(), nil
}

// Display returns s with everything escaped that could do more on a terminal than be read: control and format characters, bytes that are not UTF-8, and the
// backslash, so that what is shown is unambiguous.
func Display(s string) string {
	harmless := utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r == '\\' || !shown(r) }) < 0
	if harmless {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case shown(r):
			b.WriteString(s[i : i+n])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// Undisplay undoes Display. What Display did not write comes back as it is.
func Undisplay(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		r, rune, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return text
		}
		if n := len(rest) - len(tail); rest[0] != '\\' {
			b.WriteString(rest[:n])
		} else if rune {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		rest = tail
	}
	return b.String()
}

func shown(r rune) bool { return r == ' ' || unicode.IsPrint(r) }
