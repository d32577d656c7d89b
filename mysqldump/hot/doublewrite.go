package hot

import (
	"bytes"
	"encoding/binary"

	"nightjar/mysqldump/xbstream"
)

// systemFile is the first file of InnoDB's system tablespace, as servers call it unless they are told another name.
const systemFile = "ibdata1"

// doublewrite is the file systemFile on its way into a tree: the pages of InnoDB's doublewrite buffer become zeros. A server writes its last pages there, too,
// before it writes them to their places, and reads them to mend what it was killed in writing. In a backup they are of no use, since the tool
// reads each page until it is whole, and are other ones each night. A server passes over those whose log sequence number is zero, as it finds them in a
// database that is new. See MariaDB's storage/innobase/include/trx0sys.h, and buf_dblwr_t::init_or_load_pages in buf/buf0dblwr.cc.
type doublewrite struct {
	xbstream.File
	page   int64       // bytes of a page
	at     int64       // bytes that were written
	header []byte      // of the page of transactions, as far as it was written
	blocks [2][2]int64 // begin and end; none: zeros
	zeros  []byte
}

const (
	transactionsPage = 5 // number of the page that says where the buffer is
	transactionsType = 7 // its type
	typeAt           = 24
	bufferFromEnd    = 200 // of the page: where its part about the buffer begins
	magicAt          = 10  // in this part; then follow the numbers of the first pages of two blocks, and all three again
	storedAt         = 34
	bufferMagic      = 536853855
	storedMagic      = 1783657386 // pages in the buffer say of which tablespace they are
)

// blanked returns the file of a tree into which a file of the stream goes.
func (s *files) blanked(name string, to xbstream.File) xbstream.File {
	if name != systemFile || !s.changes { // of other servers' files that was never tried
		return to
	}
	return &doublewrite{File: to, page: int64(s.page)}
}

func (d *doublewrite) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		part, blank := d.next(b[n:])
		if blank {
			if len(d.zeros) < len(part) {
				d.zeros = make([]byte, len(part))
			}
			part = d.zeros[:len(part)]
		}
		k, err := d.File.Write(part)
		n += k
		d.at += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// next returns how much of b is written in one, and whether it is of the buffer.
func (d *doublewrite) next(b []byte) (part []byte, blank bool) {
	begin, end := transactionsPage*d.page, (transactionsPage+1)*d.page
	if d.at < end {
		b = b[:min(int64(len(b)), end-d.at)]
		if skip := begin - d.at; skip < int64(len(b)) {
			d.header = append(d.header, b[max(skip, 0):]...)
		}
		if d.at+int64(len(b)) == end {
			d.find()
		}
		return b, false
	}
	for _, block := range d.blocks {
		switch {
		case d.at >= block[1]:
		case d.at >= block[0]:
			return b[:min(int64(len(b)), block[1]-d.at)], true
		default:
			b = b[:min(int64(len(b)), block[0]-d.at)]
		}
	}
	return b, false
}

// find reads where the buffer is.
func (d *doublewrite) find() {
	about := d.header[d.page-bufferFromEnd:]
	where := about[magicAt : magicAt+12]
	if binary.BigEndian.Uint16(d.header[typeAt:]) != transactionsType || binary.BigEndian.Uint32(where) != bufferMagic ||
		binary.BigEndian.Uint32(about[storedAt:]) != storedMagic || !bytes.Equal(where, about[magicAt+12:magicAt+24]) {
		return
	}
	size := max(1<<20, 64*d.page) // an extent
	for i := range d.blocks {
		begin := int64(binary.BigEndian.Uint32(where[4+4*i:])) * d.page
		if begin < size { // the first extent has what a server needs most
			d.blocks = [2][2]int64{}
			return
		}
		d.blocks[i] = [2]int64{begin, begin + size}
	}
	d.header = nil
}
