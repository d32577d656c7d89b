package pages

import (
	"bytes"
	"encoding/binary"
)

// What the first page of an InnoDB tablespace says, at these offsets: each page begins with a header of 38 bytes, and the
// first has the tablespace's after it.
const (
	pageNumber  = 4
	pageType    = 24
	pageSpace   = 34
	headerSpace = 38
	headerFlags = 54

	typeHeader = 8 // of a page with the header of a tablespace
)

// Flags of a tablespace as MySQL and older MariaDB have them, and as MariaDB has them since 10.4 with full_crc32.
const (
	flagZip        = 1 // of four bits: 512<<n is the size of a compressed page; 0: not compressed
	flagPage       = 6 // of four bits: 512<<n is the size of a page; 0: 16 KiB
	flagEncryption = 13
	flagCompressed = 16 // page by page; of MariaDB

	flagFull           = 4 // full_crc32; its four lowest bits are those of the page
	flagFullCompressed = 5 // of three bits: the algorithm
)

// innodb returns the size of the pages of an InnoDB tablespace, as they are in the file.
func innodb(first []byte) int {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(first[at:]) }
	if word(pageNumber) != 0 || binary.BigEndian.Uint16(first[pageType:]) != typeHeader || word(pageSpace) != word(headerSpace) {
		return 0
	}
	flags := word(headerFlags)
	bits := func(at, n int) uint32 { return flags >> at & (1<<n - 1) }
	if bits(flagFull, 1) == 1 {
		if bits(flagFullCompressed, 3) != 0 {
			return 0
		}
		return sized(512 << bits(0, 4))
	}
	if bits(flagEncryption, 1) == 1 || bits(flagCompressed, 1) == 1 {
		return 0
	}
	if zip := bits(flagZip, 4); zip != 0 {
		return sized(512 << zip)
	}
	if page := bits(flagPage, 4); page != 0 {
		return sized(512 << page)
	}
	return 16 << 10
}

// encrypted reports whether the first page of a MariaDB tablespace holds what its others are decrypted by: a mark, the scheme, how long the
// vector is, the vector, and the version of the key, which is 0 for pages that are not encrypted.
func encrypted(page []byte) bool {
	const mark, vector = "s\x0e\x0cREt", 16
	at := bytes.Index(page, []byte(mark))
	if at < 0 {
		return false
	}
	rest := page[at+len(mark):]
	return len(rest) >= 2+vector+4 && rest[0] != 0 && rest[1] == vector && binary.BigEndian.Uint32(rest[2+vector:]) != 0
}
