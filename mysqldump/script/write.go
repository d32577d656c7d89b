package script

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"nightjar/mysqldump/server"
)

// A Writer writes the statements of one file. The first error is final.
type Writer struct {
	w   io.Writer
	err error
}

// NewWriter begins a file with a comment and the settings of its session; database is the one that its statements are for, or
// empty.
func NewWriter(w io.Writer, title, database string) *Writer {
	s := &Writer{w: w}
	s.Comment(title)
	if database != "" {
		s.Statement("SET NAMES utf8mb4") // MySQL takes the name that clients send for USE for Latin-1 if the session has bytes
		s.Statement("USE " + server.Quote(database))
	}
	s.Statement("SET NAMES binary")
	s.Statement("SET SESSION sql_mode='', time_zone='+00:00', foreign_key_checks=0, unique_checks=0")
	return s
}

// Comment writes a line of comment; what is not printable in it is escaped.
func (s *Writer) Comment(text string) {
	quoted := strconv.Quote(text)
	s.write("-- " + quoted[1:len(quoted)-1] + "\n")
}

// Statement writes a statement, which begins with a word and has no delimiter at its end. Clients split at the delimiter: where ";" could end it too
// early, another is chosen that is not in the statement.
func (s *Writer) Statement(text string) {
	if !strings.Contains(text, ";\n") && !strings.HasSuffix(text, ";") {
		s.write(text, ";\n")
		return
	}
	s.Program(text)
}

// Program writes a statement with statements in it.
func (s *Writer) Program(text string) {
	delimiter := "$$"
	for i := 1; strings.Contains(text, delimiter); i++ {
		delimiter = fmt.Sprintf("$%d$", i)
	}
	s.write("DELIMITER ", delimiter, "\n", text, "\n", delimiter, "\nDELIMITER ;\n")
}

// Err returns the first error.
func (s *Writer) Err() error { return s.err }

func (s *Writer) write(texts ...string) {
	for _, text := range texts {
		if s.err == nil {
			_, s.err = io.WriteString(s.w, text)
		}
	}
}
