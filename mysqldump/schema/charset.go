package schema

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"

	"nightjar/mysqldump/server"
)

// errCharset is of a definition of which no session can make every part.
var errCharset = errors.New("its names or comments have characters that the character set of its body has not")

// loadable returns a table's definition in a form that a session in UTF-8 takes: a literal that is not UTF-8, as older servers print
// the defaults of binary columns, is in hex.
func loadable(create string) string {
	if utf8.ValidString(create) {
		return create
	}
	var b strings.Builder
	done := 0
	for _, t := range tokens(create) {
		if literal := t.of(create); t.kind == text && !utf8.ValidString(literal) {
			b.WriteString(create[done:t.begin])
			b.WriteString("X'" + strings.ToUpper(hex.EncodeToString(unquote(literal))) + "'")
			done = t.end
		}
	}
	b.WriteString(create[done:])
	return b.String()
}

// unquote returns what a string literal means with an empty sql_mode.
func unquote(literal string) []byte {
	quote, inner := literal[0], literal[1:max(1, len(literal)-1)]
	var b []byte
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == '\\' && i+1 < len(inner):
			i++
			if at := strings.IndexByte("0nrtbZ", inner[i]); at >= 0 {
				b = append(b, "\x00\n\r\t\b\x1a"[at])
			} else {
				b = append(b, inner[i])
			}
		case inner[i] == quote:
			i++ // of a doubled one
			b = append(b, quote)
		default:
			b = append(b, inner[i])
		}
	}
	return b
}

// recode returns a definition in one character set. Servers print some parts, such as comments, in UTF-8, whatever
// the character set of the session was that made it, and all else as that session sent it.
func (r *reader) recode(ctx context.Context, create string, e Environment, parts [][2]int) (string, error) {
	if strings.HasPrefix(e.CharacterSetClient, "utf8") || e.CharacterSetClient == "binary" || e.CharacterSetClient == "" {
		return create, nil
	}
	var b strings.Builder
	done := 0
	for _, p := range parts {
		part := create[p[0]:p[1]]
		if ascii(part) {
			continue
		}
		converted := "CONVERT(CONVERT(0x" + hex.EncodeToString([]byte(part)) + " USING utf8mb4) USING " + e.CharacterSetClient + ")"
		row, err := r.s.Row(ctx, "SELECT CAST("+converted+" AS BINARY), CAST(CONVERT("+converted+" USING utf8mb4) AS BINARY)")
		if err != nil {
			return "", err
		}
		if string(row[1]) != part {
			return "", errCharset
		}
		b.WriteString(create[done:p[0]])
		b.Write(row[0])
		done = p[1]
	}
	b.WriteString(create[done:])
	return b.String(), nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// routineParts returns the parts of a routine's statement that the server prints in UTF-8: the definer, the name on servers that have it so, and
// what is between the parameters and the body.
func routineParts(create, name string) [][2]int {
	all := tokens(create)
	open := 0
	for open < len(all) && !all[open].is(create, "(") {
		open++
	}
	end := matching(create, all, open)
	if open == 0 || end >= len(all) {
		return nil
	}
	parts := [][2]int{{0, all[open-1].begin}}
	if written := all[open-1].of(create); written == server.Quote(name) || written == `"`+strings.ReplaceAll(name, `"`, `""`)+`"` {
		parts[0][1] = all[open-1].end
	}
	begin := all[end].end
	return append(parts, [2]int{begin, begin + bodyAfter(create[begin:])})
}

// bodyAfter returns where the body begins in what follows the parameters of a routine: the server prints RETURNS on their line, and each
// characteristic on one that begins with four spaces.
func bodyAfter(rest string) int {
	all := tokens(rest)
	end := 0
	for _, t := range all {
		if line := strings.LastIndexByte(rest[:t.begin], '\n'); line >= end {
			if rest[line+1:t.begin] != "    " || !characteristic[strings.ToUpper(t.of(rest))] {
				return line + 1
			}
			end = line + 1
		}
		end = max(end, t.end)
	}
	return len(rest)
}

var characteristic = map[string]bool{"LANGUAGE": true, "NOT": true, "DETERMINISTIC": true, "CONTAINS": true, "NO": true, "READS": true,
	"MODIFIES": true, "SQL": true, "COMMENT": true, "USING": true}

// eventParts returns what is before the body of an event.
func eventParts(create string) [][2]int {
	for i, t := range tokens(create) {
		if i > 0 && t.is(create, "DO") {
			return [][2]int{{0, t.begin}}
		}
	}
	return nil
}
