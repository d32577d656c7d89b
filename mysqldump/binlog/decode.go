package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A Decoder checks the events of one log, in their order from the first. The zero Decoder begins at the log's start.
type Decoder struct {
	at      uint64 // 0: nothing came yet
	format  Format
	checked bool
	ended   bool // by a Rotate or Stop
}

// At returns where the next event begins.
func (d *Decoder) At() uint64 { return max(d.at, Start) }

// Format returns what the log's first event says, once it came.
func (d *Decoder) Format() Format { return d.format }

// Resume has the Decoder go on at an offset of a log whose first event is this.
func (d *Decoder) Resume(first []byte, at uint64) (err error) {
	if _, err = Identify(first); err != nil {
		return err
	}
	if d.format, err = parseFormat(first); err != nil {
		return err
	}
	d.at, d.checked, d.ended = at, d.format.Checksums, false
	return nil
}

// Decode returns the next event, which keeps raw.
func (d *Decoder) Decode(raw []byte) (e Event, err error) {
	e, err = d.decode(raw)
	if err != nil {
		return Event{}, fmt.Errorf("read event at offset %d: %w", d.At(), err)
	}
	d.at = e.Next
	return e, nil
}

func (d *Decoder) decode(raw []byte) (e Event, err error) {
	h, err := ParseHeader(raw)
	if err != nil {
		return e, err
	}
	at := d.At()
	e = Event{Type: h.Type, Flags: h.Flags, At: at, Next: at + uint64(len(raw)), Time: time.Unix(int64(h.Time), 0).UTC(), ServerID: h.ServerID, Raw: raw}
	first := d.at == 0
	switch {
	case uint64(h.Size) != uint64(len(raw)):
		return e, fmt.Errorf("%v: it says that it has %d bytes, and has %d", h.Type, h.Size, len(raw))
	case h.End != uint32(e.Next) && (h.End != 0 || marks(h.Type)):
		return e, fmt.Errorf("%v: it says that it ends at %d, and ends at %d", h.Type, h.End, e.Next)
	case first != (h.Type == FormatDescription):
		return e, fmt.Errorf("%v: a log begins with its format description, and has no other", h.Type)
	case d.ended:
		return e, fmt.Errorf("%v: it comes after the event that ends the log", h.Type)
	}
	if first {
		if d.format, err = parseFormat(raw); err != nil {
			return e, fmt.Errorf("%v: %w", h.Type, err)
		}
		d.checked, e.checked = d.format.Checksums, true
		return e, nil
	}
	if e.checked = d.checked; e.checked {
		if err := checkSum(raw, false); err != nil {
			return e, fmt.Errorf("%v: %w", h.Type, err)
		}
	}
	d.ended = h.Type == Rotate || h.Type == Stop
	return e, nil
}

// marks tells the events whose place every server writes. Those between, which stand in a transaction's cache until its
// commit, have none in newer MariaDB.
func marks(t Type) bool {
	switch t {
	case FormatDescription, PreviousGTIDs, GTIDList, BinlogCheckpoint, MariaDBGTID, MySQLGTID, AnonymousGTID, TaggedGTID, Rotate, Stop:
		return true
	}
	return false
}

var errChecksum = errors.New("its checksum is wrong")

// checkSum compares the checksum at the end of an event with its bytes. The flag of a log in use does not count.
func checkSum(raw []byte, first bool) error {
	if len(raw) < headerSize+checksumSize {
		return fmt.Errorf("%d bytes hold no checksum", len(raw))
	}
	body := raw[:len(raw)-checksumSize]
	sum := crc32.Update(0, crc32.IEEETable, body[:17])
	flags := body[17]
	if first {
		flags &^= FlagInUse
	}
	sum = crc32.Update(sum, crc32.IEEETable, []byte{flags})
	if crc32.Update(sum, crc32.IEEETable, body[18:]) != binary.LittleEndian.Uint32(raw[len(body):]) {
		return errChecksum
	}
	return nil
}

// A Format is what the first event of a log says.
type Format struct {
	Server    string    // the version of the server, as it says
	Created   time.Time // when the log was begun; in seconds
	Started   bool      // the server was started with this log: temporary tables of before are gone
	Checksums bool      // events end with a CRC-32
	InUse     bool      // the log is being written, or its server crashed
	ServerID  uint32
}

const (
	formatServer  = 50 // bytes of the server's version
	formatTypes   = 2 + formatServer + 4 + 1
	fewestTypes   = 27 // of servers since 5.1
	checksumsNone = 0
	checksumsCRC  = 1
)

// parseFormat parses a whole format description. Such an event has a checksum whether others have one or not.
func parseFormat(raw []byte) (f Format, err error) {
	body := raw[headerSize:]
	if len(body) < formatTypes+fewestTypes+1+checksumSize {
		return f, fmt.Errorf("%d bytes are too few", len(raw))
	}
	if version := binary.LittleEndian.Uint16(body); version != 4 {
		return f, fmt.Errorf("version %d of the format, not 4", version)
	}
	if size := body[formatTypes-1]; size != headerSize {
		return f, fmt.Errorf("headers of %d bytes, not %d", size, headerSize)
	}
	h, err := ParseHeader(raw)
	if err != nil {
		return f, err
	}
	server, _, _ := bytes.Cut(body[2:2+formatServer], []byte{0})
	created := binary.LittleEndian.Uint32(body[2+formatServer:])
	f = Format{Server: string(server), Created: time.Unix(int64(h.Time), 0).UTC(), Started: created != 0, InUse: h.Flags&FlagInUse != 0, ServerID: h.ServerID}
	if err := checkSum(raw, true); err != nil {
		return f, err
	}
	switch kind := body[len(body)-checksumSize-1]; kind {
	case checksumsNone:
	case checksumsCRC:
		f.Checksums = true
	default:
		return f, fmt.Errorf("checksums of kind %d, which nobody knows", kind)
	}
	return f, nil
}

// ParseRotate returns the name of the log that a Rotate says is next, and the offset there. The checksum that such an
// event may have must have been taken off, as of Body.
func ParseRotate(body []byte) (file string, at uint64, err error) {
	const most = 512
	if len(body) <= 8 || len(body) > 8+most || bytes.ContainsAny(body[8:], "/\x00") {
		return "", 0, errors.New("read Rotate: it names no log")
	}
	return string(body[8:]), binary.LittleEndian.Uint64(body), nil
}

// FormatOf checks the first event of a log, and returns what it says.
func FormatOf(first []byte) (Format, error) {
	if _, err := Identify(first); err != nil {
		return Format{}, err
	}
	return parseFormat(first)
}
