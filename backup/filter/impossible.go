package filter

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxAlternatives bounds how many ways to read a pattern are looked at: each {a,b} multiplies them. Of more, it is taken that one can match.
const maxAlternatives = 1 << 10

// canMatch says why a valid glob, for whole paths or for names, can match none of those that there are, if that is so.
func canMatch(glob string) error {
	ways, all := alternatives(glob, maxAlternatives)
	if !all || slices.ContainsFunc(ways, possible) {
		return nil
	}
	if strings.Contains(glob, "{") {
		return errors.New("it can match nothing: none of its alternatives is a path, or a name, that can be")
	}
	return errors.New("it can match nothing: a path has no empty name, no . and no .. in it, and no character is in a range that ends before it begins")
}

// possible reports whether a glob without alternatives can match a path, or a name.
func possible(glob string) bool {
	for name := range strings.SplitSeq(strings.TrimPrefix(glob, "/"), "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for i := 0; i < len(glob); i = past(glob, i) {
		if glob[i] == '[' && emptyClass(glob[i+1:past(glob, i)-1]) {
			return false
		}
	}
	return true
}

// emptyClass reports whether what stands between brackets is no character: ranges like z-a only.
func emptyClass(class string) bool {
	for class != "" {
		low, rest := character(class)
		if low == '!' || low == '^' || !strings.HasPrefix(rest, "-") || len(rest) < 2 {
			return false
		}
		high, rest := character(rest[1:])
		if low <= high {
			return false
		}
		class = rest
	}
	return true
}

// character returns the first character, of two when it is escaped, and what is left.
func character(text string) (r rune, rest string) {
	text = strings.TrimPrefix(text, `\`)
	r, n := utf8.DecodeRuneInString(text)
	return r, text[n:]
}

// alternatives returns the globs without {a,b} that match together what a valid one does; false: there are more than so many.
func alternatives(glob string, most int) (all []string, ok bool) {
	open := 0
	for open < len(glob) && glob[open] != '{' {
		open = past(glob, open)
	}
	if open == len(glob) {
		return []string{glob}, most > 0
	}
	ways, rest := braced(glob[open:])
	for _, way := range ways {
		more, ok := alternatives(glob[:open]+way+rest, most-len(all))
		if !ok {
			return nil, false
		}
		all = append(all, more...)
	}
	return all, true
}

// braced splits what a text begins with, {a,b}, into what stands there to choose from, and what is left.
func braced(text string) (ways []string, rest string) {
	depth, begin := 0, 1
	for i := 0; i < len(text); i = past(text, i) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 || depth == 1 && text[i] == ',' {
			ways, begin = append(ways, text[begin:i]), i+1
		}
		if depth == 0 {
			return ways, text[begin:]
		}
	}
	return ways, ""
}

// past returns where what stands at a place of a valid glob ends: an escaped character, a class in brackets, or one byte.
func past(glob string, at int) int {
	switch glob[at] {
	case '\\':
		return min(at+2, len(glob))
	case '[':
		for at++; at < len(glob) && glob[at] != ']'; at++ {
			if glob[at] == '\\' {
				at++
			}
		}
	}
	return min(at+1, len(glob))
}
