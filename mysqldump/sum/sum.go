// Package sum is a checksum of rows that does not depend on their order, and that Go and SQL compute alike: a dump sums the rows
// that it reads, and any server can be asked for the sum of the rows that it has.
//
// A row's hash is the CRC-32 (IEEE) of a text that has for each column the CRC-32 of its value in decimal digits, or N for NULL, each
// followed by a comma. The sum of rows is how many they are, the sum of their hashes, and the exclusive or of them.
//
// It finds what was lost, doubled or changed by mistake. It is no defence against somebody who means to deceive: archives are
// signed.
package sum

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A Sum is the checksum of rows. The zero value is that of none.
type Sum struct {
	Rows   uint64
	Total  uint64 // of the hashes
	Parity uint32 // their exclusive or
}

// Add adds a row: the text of each column, nil for NULL. It uses scratch, and returns it for the next row.
func (s *Sum) Add(row [][]byte, scratch []byte) []byte {
	scratch = scratch[:0]
	for _, value := range row {
		if value == nil {
			scratch = append(scratch, 'N')
		} else {
			scratch = strconv.AppendUint(scratch, uint64(crc32.ChecksumIEEE(value)), 10)
		}
		scratch = append(scratch, ',')
	}
	hash := crc32.ChecksumIEEE(scratch)
	s.Rows++
	s.Total += uint64(hash)
	s.Parity ^= hash
	return scratch
}

// Merge adds the rows of another sum.
func (s *Sum) Merge(o Sum) {
	s.Rows += o.Rows
	s.Total += o.Total
	s.Parity ^= o.Parity
}

// String returns the sum as text: rows, total and parity, as 3-7438291023-9f3a01bc.
func (s Sum) String() string { return fmt.Sprintf("%d-%d-%08x", s.Rows, s.Total, s.Parity) }

// Parse parses what String returned.
func Parse(text string) (Sum, error) {
	var s Sum
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return Sum{}, fmt.Errorf("parse sum %.40q: it has not three parts", text)
	}
	var errs [3]error
	var parity uint64
	s.Rows, errs[0] = strconv.ParseUint(parts[0], 10, 64)
	s.Total, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	parity, errs[2] = strconv.ParseUint(parts[2], 16, 32)
	s.Parity = uint32(parity)
	if errs != [3]error{} || s.String() != text {
		return Sum{}, fmt.Errorf("parse sum %.40q: it is not how a sum is written", text)
	}
	return s, nil
}

// Same reports whether two sums are those of the same rows, one of which a server made, which has no Parity.
func (s Sum) Same(o Sum) bool { return s.Rows == o.Rows && s.Total == o.Total }

// Query returns the statement that has a server sum rows: of a table, or what else may follow FROM, with an expression for each
// column. Its one row has the numbers for FromRow. It leaves out the parity, which finds little that the total does not: servers
// would hash each row twice for it.
func Query(from string, expressions []string) string {
	var b strings.Builder
	b.WriteString("SELECT COUNT(*), COALESCE(SUM(h),0) FROM (SELECT CRC32(CONCAT(")
	for i, e := range expressions {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("COALESCE(CRC32(" + e + "),'N'),','")
	}
	if len(expressions) == 0 {
		b.WriteString("''")
	}
	b.WriteString(")) AS h FROM " + from + ") AS hashes")
	return b.String()
}

// FromRow returns the sum that the row of a Query says, without a parity.
func FromRow(row [][]byte) (Sum, error) {
	if len(row) != 2 {
		return Sum{}, fmt.Errorf("read sum: %d columns", len(row))
	}
	rows, err := strconv.ParseUint(string(row[0]), 10, 64)
	if err != nil {
		return Sum{}, fmt.Errorf("read sum: %w", err)
	}
	total, err := strconv.ParseUint(string(row[1]), 10, 64)
	if err != nil {
		return Sum{}, fmt.Errorf("read sum: %w", err)
	}
	return Sum{Rows: rows, Total: total}, nil
}
