package optionfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	maxFile = 1 << 20 // bytes
	maxLine = 4094    // bytes; the clients take the rest of a longer one for another line
)

// A line is what one line of an option file says: a directive with its path, a group, or an option.
type line struct {
	number    int
	directive string // "include" or "includedir"
	path      string
	group     *string
	name      string
	value     *string
}

// parse hands the lines of an option file that say something to each, until one is wrong or each returns an error.
func parse(content []byte, each func(line) error) error {
	grouped := false
	for number := 1; len(content) > 0; number++ {
		var raw []byte
		raw, content, _ = bytes.Cut(content, []byte("\n"))
		l, said, err := parseLine(raw)
		switch {
		case err != nil:
		case !said:
			continue
		case l.group != nil:
			grouped = true
		case l.directive == "" && !grouped:
			err = errors.New("an option before the first group")
		}
		if err == nil {
			l.number = number
			err = each(l)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

// parseLine reads one line, without its end. An error quotes nothing: the line may hold a password.
func parseLine(raw []byte) (l line, said bool, err error) {
	if len(raw) > maxLine {
		return l, false, fmt.Errorf("more than %d bytes", maxLine)
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return l, false, errors.New("a NUL byte")
	}
	text := trim(string(raw))
	switch {
	case text == "" || text[0] == '#' || text[0] == ';':
		return l, false, nil
	case text[0] == '!':
		return parseDirective(trim(text[1:]))
	case text[0] == '[':
		group, _, closed := strings.Cut(text[1:], "]")
		if !closed {
			return l, false, errors.New("a group without ]")
		}
		group = trimRight(group)
		return line{group: &group}, true, nil
	}
	text = trim(withoutComment(text))
	name, value, has := strings.Cut(text, "=")
	l.name = trim(name)
	if has {
		value = unescape(unquote(trim(value)))
		l.value = &value
	}
	return l, true, nil
}

// parseDirective reads what follows the exclamation mark. As with the clients, other words than these two say nothing.
func parseDirective(text string) (l line, said bool, err error) {
	end := 0
	for end < len(text) && !isSpace(text[end]) {
		end++
	}
	l = line{directive: text[:end], path: trim(text[end:])}
	if l.directive != "include" && l.directive != "includedir" {
		return line{}, false, nil
	}
	if l.path == "" {
		return line{}, false, fmt.Errorf("!%s without a path", l.directive)
	}
	return l, true, nil
}

// withoutComment cuts a text at the first # outside of quotes. Only inside of quotes does a backslash protect.
func withoutComment(text string) string {
	quote, protected := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '\'' || c == '"') && !protected:
			if quote == 0 {
				quote = c
			} else if quote == c {
				quote = 0
			}
		case c == '#' && quote == 0:
			return text[:i]
		}
		protected = quote != 0 && c == '\\' && !protected
	}
	return text
}

func unquote(text string) string {
	if n := len(text); n > 1 && (text[0] == '"' || text[0] == '\'') && text[0] == text[n-1] {
		return text[1 : n-1]
	}
	return text
}

var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 's': ' ', '"': '"', '\'': '\'', '\\': '\\'}

// unescape resolves what a backslash begins; before other letters, and at the end, it stands for itself.
func unescape(text string) string {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if c, known := escapes[text[i+1]]; known {
				b = append(b, c)
				i++
				continue
			}
			b = append(b, '\\', text[i+1]) // a backslash that follows would begin no escape
			i++
			continue
		}
		b = append(b, text[i])
	}
	return string(b)
}

// isSpace is what the clients take for white space: as in Latin-1, the last byte of "à" in UTF-8 among it.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 }

func trim(text string) string {
	for text != "" && isSpace(text[0]) {
		text = text[1:]
	}
	return trimRight(text)
}

func trimRight(text string) string {
	for text != "" && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}
