// Package filename says which names of databases and tables the names of their files stand for.
package filename

import (
	_ "embed"
	"encoding/hex"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// filenameLetters has the letters for which the servers' character set "filename" has codes of two characters, each behind its code.
//
//go:embed filename.txt
var filenameLetters string

var lettersOf = sync.OnceValue(func() map[string]rune {
	letters := map[string]rune{}
	for item := range strings.FieldsFuncSeq(filenameLetters, func(r rune) bool { return r == ' ' || r == '\n' }) {
		letters[item[:2]], _ = utf8.DecodeRuneInString(item[2:])
	}
	return letters
})

// Decode returns the name that a file's name stands for. After "@" comes a letter's code, or a character in four hex digits;
// "@@@" is behind names that are devices to other systems, such as con.
func Decode(file string) string {
	file = strings.TrimSuffix(strings.TrimPrefix(file, "#mysql50#"), "@@@")
	if !strings.Contains(file, "@") {
		return file
	}
	var units []uint16
	for i := 0; i < len(file); i++ {
		if file[i] != '@' {
			r, size := utf8.DecodeRuneInString(file[i:])
			units = utf16.AppendRune(units, r)
			i += size - 1
			continue
		}
		rest := file[i+1:]
		if letter, ok := lettersOf()[rest[:min(2, len(rest))]]; ok {
			units = utf16.AppendRune(units, letter)
			i += 2
			continue
		}
		if code, err := hex.DecodeString(rest[:min(4, len(rest))]); err == nil && len(code) == 2 {
			units = append(units, uint16(code[0])<<8|uint16(code[1]))
			i += 4
			continue
		}
		units = append(units, '@')
	}
	return string(utf16.Decode(units))
}
