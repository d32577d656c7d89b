package ddl

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"nightjar/mysqldump/server"
)

// Loadable returns a table's definition in a form that a session in UTF-8 takes: a literal that is not UTF-8, as older servers print
// the defaults of binary columns, is in hex.
func Loadable(create string) string {
	if utf8.ValidString(create) {
		return create
	}
	var b strings.Builder
	done := 0
	for _, t := range Tokens(create) {
		if (t.Kind == Text || t.Kind == Quoted) && !utf8.Valid(t.Text) {
			b.WriteString(create[done:t.From])
			b.WriteString("X'" + strings.ToUpper(hex.EncodeToString(unquote(t.Text))) + "'")
			done = t.To
		}
	}
	b.WriteString(create[done:])
	return b.String()
}

// WithBounds returns a table's definition with other bounds of its partitions, in their order: what stands in parentheses after VALUES LESS
// THAN or VALUES IN. It is returned as it is if it has not as many.
func WithBounds(create string, bounds []string) string {
	all := Tokens(create)
	var b strings.Builder
	done, n := 0, 0
	for i, t := range all {
		open := i + 2
		if open < len(all) && all[i+1].Is("LESS") {
			open++
		}
		if !t.Is("VALUES") || open >= len(all) || !all[open].Is("(") || !all[open-1].Is("THAN") && !all[open-1].Is("IN") {
			continue
		}
		end := matching(all, open)
		if end >= len(all) || n == len(bounds) {
			return create
		}
		b.WriteString(create[done:all[open].To] + bounds[n])
		done, n = all[end].From, n+1
	}
	if n != len(bounds) {
		return create
	}
	return b.String() + create[done:]
}

// unquote returns what a string literal means with an empty sql_mode.
func unquote(literal []byte) []byte {
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

// RoutineParts returns the parts of a routine's statement that the server prints in UTF-8: the definer, the name on servers that have it so, and
// what is between the parameters and the body.
func RoutineParts(create, name string) [][2]int {
	all := Tokens(create)
	open := 0
	for open < len(all) && !all[open].Is("(") {
		open++
	}
	end := matching(all, open)
	if open == 0 || end >= len(all) {
		return nil
	}
	parts := [][2]int{{0, all[open-1].From}}
	if written := string(all[open-1].Text); written == server.Quote(name) || written == `"`+strings.ReplaceAll(name, `"`, `""`)+`"` {
		parts[0][1] = all[open-1].To
	}
	begin := all[end].To
	return append(parts, [2]int{begin, begin + bodyAfter(create[begin:])})
}

// bodyAfter returns where the body begins in what follows the parameters of a routine: the server prints RETURNS on their line, and each
// characteristic on one that begins with four spaces.
func bodyAfter(rest string) int {
	all := Tokens(rest)
	end := 0
	for _, t := range all {
		if line := strings.LastIndexByte(rest[:t.From], '\n'); line >= end {
			if rest[line+1:t.From] != "    " || !characteristic[strings.ToUpper(string(t.Text))] {
				return line + 1
			}
			end = line + 1
		}
		end = max(end, t.To)
	}
	return len(rest)
}

var characteristic = map[string]bool{"LANGUAGE": true, "NOT": true, "DETERMINISTIC": true, "CONTAINS": true, "NO": true, "READS": true,
	"MODIFIES": true, "SQL": true, "COMMENT": true, "USING": true}

// EventParts returns what is before the body of an event.
func EventParts(create string) [][2]int {
	for i, t := range Tokens(create) {
		if i > 0 && t.Is("DO") {
			return [][2]int{{0, t.From}}
		}
	}
	return nil
}
