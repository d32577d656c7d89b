// Package pages tells from the begin of a file whether it is made of pages that change one by one, as the files of databases are.
//
// The invariant: its word is a hint. A file that is taken for one with pages is saved as any other, and costs a little more
// space; so names count for nothing, and a page that could as well be something else is none.
//
// It does not read what is in a page, and does not tell whether a file is whole or at rest.
package pages

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
)

// head is how much of a file tells what it may be.
const head = 100

// Size returns the size in bytes of a file's pages, or 0 if the file is not known to have any, or would not gain by it: pages that are
// encrypted or compressed one by one change altogether. It knows tablespaces of InnoDB, databases of SQLite and relations of PostgreSQL,
// and reads at most the first page; what cannot be read is not known.
func Size(r io.ReaderAt, size int64) int {
	if size < 2*minPage {
		return 0
	}
	first := make([]byte, head)
	if _, err := r.ReadAt(first, 0); err != nil {
		return 0
	}
	page := max(innodb(first), sqlite(first), postgres(first))
	if page == 0 || size%int64(page) != 0 {
		return 0
	}
	if innodb(first) > 0 {
		first = make([]byte, page)
		if _, err := r.ReadAt(first, 0); err != nil || encrypted(first) {
			return 0
		}
	}
	return page
}

const (
	minPage = 1 << 10
	maxPage = 64 << 10
)

// sized returns a size that is one of a page, or 0.
func sized(n int) int {
	if n < minPage || n > maxPage || bits.OnesCount(uint(n)) != 1 {
		return 0
	}
	return n
}

// sqlite returns the size of the pages of an SQLite database: 1 stands for 65,536.
func sqlite(first []byte) int {
	if !bytes.HasPrefix(first, []byte("SQLite format 3\x00")) {
		return 0
	}
	n := int(binary.BigEndian.Uint16(first[16:]))
	if n == 1 {
		n = maxPage
	}
	return sized(n)
}

// postgres returns the size of the pages of a table or an index, which say no more than that they are laid out as pages are:
// version 4 (since 2007), in the byte order of nearly all machines.
func postgres(first []byte) int {
	word := func(at int) int { return int(binary.LittleEndian.Uint16(first[at:])) }
	flags, lower, upper, special := word(10), word(12), word(14), word(16)
	n := sized(word(18) &^ 0xff)
	if word(18)&0xff != 4 || flags > 7 || lower < 24 || lower > upper || upper > special || special > n {
		return 0
	}
	return n
}
