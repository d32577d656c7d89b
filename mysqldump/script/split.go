package script

import (
	"errors"
	"fmt"

	"nightjar/mysqldump/ddl"
)

// Spare is how many bytes a statement is kept below a server's max_allowed_packet.
const Spare = 1024

// errTooLarge says that one row alone is larger than a statement may be.
var errTooLarge = errors.New("larger than the server's max_allowed_packet")

// Split cuts an INSERT of several rows into statements of at most most bytes, each with as many rows as fit. A statement
// that fits is returned as it is.
func Split(statement []byte, most int) ([][]byte, error) {
	if len(statement) <= most {
		return [][]byte{statement}, nil
	}
	head, rows, err := rowsOf(statement)
	if err != nil {
		return nil, fmt.Errorf("split statement of %d bytes: %w", len(statement), err)
	}
	var all [][]byte
	var piece []byte
	for _, row := range rows {
		if need := len(head) + len(row); need > most {
			return nil, fmt.Errorf("a row of %d bytes: %w, which is %d bytes: raise that to %d or more", len(row), errTooLarge, most, need+Spare)
		}
		switch {
		case piece == nil:
			piece = append(append(piece, head...), row...)
		case len(piece)+1+len(row) > most:
			all, piece = append(all, piece), append(append([]byte{}, head...), row...)
		default:
			piece = append(append(piece, ','), row...)
		}
	}
	return append(all, piece), nil
}

// rowsOf returns what comes before the rows of an INSERT, and each row with its parentheses.
func rowsOf(statement []byte) (head []byte, rows [][]byte, err error) {
	l := ddl.Lexer{Text: statement}
	depth, from := 0, 0
	for {
		t, ok := l.Next()
		switch {
		case !ok && (depth != 0 || len(rows) == 0):
			return nil, nil, errors.New("it is no INSERT of rows")
		case !ok:
			return head, rows, nil
		case head == nil:
			if t.Is("VALUES") {
				head = statement[:l.At]
			}
			continue
		case !t.Is("(") && !t.Is(")"):
			if depth == 0 && !t.Is(",") {
				return nil, nil, fmt.Errorf("%.20q stands between the rows", t.Text)
			}
			continue
		case t.Is("("):
			if depth == 0 {
				from = t.From
			}
			depth++
		default:
			if depth--; depth == 0 {
				rows = append(rows, statement[from:t.To])
			}
		}
	}
}
