package xbstream

import (
	"hash/crc32"
	"io"
)

// copy passes payload on: what lies in the buffer as it lies there, and what is long past it.
func (d *reader) copy(to io.Writer, n uint64, sum *uint32) error {
	from, direct := to.(io.ReaderFrom)
	for n > 0 {
		if direct && n >= long && d.r.Buffered() == 0 {
			p := &part{d: d, left: n, sum: sum}
			_, err := from.ReadFrom(p)
			if err == nil && p.left > 0 {
				err = io.ErrShortWrite
			}
			return err
		}
		if _, err := d.r.Peek(1); err != nil {
			return cut(err)
		}
		b, _ := d.r.Peek(int(min(n, uint64(d.r.Buffered()))))
		*sum = crc32.Update(*sum, crc32.IEEETable, b)
		if _, err := to.Write(b); err != nil {
			return err
		}
		_, _ = d.r.Discard(len(b))
		d.next += int64(len(b))
		n -= uint64(len(b))
	}
	return nil
}

// part is payload that is handed over as a reader.
type part struct {
	d    *reader
	left uint64
	sum  *uint32
}

func (p *part) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.d.r.Read(b[:min(uint64(len(b)), p.left)])
	*p.sum = crc32.Update(*p.sum, crc32.IEEETable, b[:n])
	p.d.next += int64(n)
	p.left -= uint64(n)
	return n, cut(err)
}

var nothing [64 << 10]byte

func zeros(to io.Writer, n uint64) error {
	for n > 0 {
		part := nothing[:min(n, uint64(len(nothing)))]
		if _, err := to.Write(part); err != nil {
			return err
		}
		n -= uint64(len(part))
	}
	return nil
}
