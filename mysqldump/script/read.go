package script

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxStatement is how long a statement may be, in bytes: no server takes longer ones.
const MaxStatement = 1 << 30

// A Reader reads the statements that a Writer wrote.
type Reader struct {
	r         *bufio.Reader
	delimiter string
	statement []byte
}

// NewReader returns a Reader of a file.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 256<<10), delimiter: ";"}
}

// Next returns the next statement without its delimiter, valid until the next call; io.EOF after the last. Comments are left out.
func (s *Reader) Next() ([]byte, error) {
	s.statement = s.statement[:0]
	for begin := 0; ; {
		part, err := s.r.ReadSlice('\n')
		s.statement = append(s.statement, part...)
		if len(s.statement) > MaxStatement {
			return nil, fmt.Errorf("read statement: more than %d bytes", MaxStatement)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			if len(s.statement) == 0 {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read statement: it does not end: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, fmt.Errorf("read statement: %w", err)
		}
		line := s.statement[begin : len(s.statement)-1]
		if begin == 0 && s.skip(line) {
			s.statement = s.statement[:0]
			continue
		}
		if bytes.HasSuffix(line, []byte(s.delimiter)) {
			return bytes.TrimSuffix(s.statement[:len(s.statement)-1-len(s.delimiter)], []byte("\n")), nil
		}
		begin = len(s.statement)
	}
}

// skip reports whether a line that could begin a statement is none: a comment, nothing, or a delimiter.
func (s *Reader) skip(line []byte) bool {
	if delimiter, ok := strings.CutPrefix(string(line[:min(len(line), 64)]), "DELIMITER "); ok && delimiter != "" {
		s.delimiter = delimiter
		return true
	}
	return len(line) == 0 || bytes.HasPrefix(line, []byte("-- "))
}
