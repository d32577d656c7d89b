package schema

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// errCharset is of a definition of which no session can make every part.
var errCharset = errors.New("its names or comments have characters that the character set of its body has not")

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
