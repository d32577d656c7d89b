package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"time"
	"unsafe"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump"
)

// A Dump is a connection on which a server hands over its binary logs, as it does to a replica, up to their end.
type Dump struct {
	session *Session
	conn    net.Conn
	ctx     context.Context
	stop    func() bool
	timeout time.Duration
	packet  []byte
	err     error // final
}

// DumpTimeout is how long a server may be silent in a Dump.
const DumpTimeout = time.Minute

const (
	comBinlogDump   = 0x12
	dumpToTheEnd    = 1 // BINLOG_DUMP_NON_BLOCK
	dumpAnnotations = 2 // BINLOG_SEND_ANNOTATE_ROWS_EVENT, of MariaDB

	packetHead = 4
	maxPart    = 1<<24 - 1 // bytes of a packet; one that has so many goes on in the next
)

// Dump asks for the binary logs from an offset on, where an event begins. The account needs REPLICATION SLAVE. The server
// sees nobody who counts as a replica: the connection names no server id, so it ends no other's, and holds up no commit.
func (s *Server) Dump(ctx context.Context, file string, offset uint32) (*Dump, error) {
	d, err := s.dump(ctx, file, offset)
	if err != nil {
		return nil, fmt.Errorf("read binary log %s of %s: %w", file, s.config.Addr, err)
	}
	return d, nil
}

func (s *Server) dump(ctx context.Context, file string, offset uint32) (*Dump, error) {
	session, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	d := &Dump{session: session, ctx: ctx, timeout: DumpTimeout}
	if err := d.begin(file, offset); err != nil {
		session.Close()
		return nil, err
	}
	d.stop = context.AfterFunc(ctx, func() { d.conn.SetDeadline(time.Unix(1, 0)) })
	return d, nil
}

func (d *Dump) begin(file string, offset uint32) error {
	id, err := d.session.Identity(d.ctx)
	if err != nil {
		return err
	}
	// Events come with the checksums that they have, and all of MariaDB's as they are.
	if err := d.session.Exec(d.ctx, "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32', @mariadb_slave_capability=4"); err != nil {
		return err
	}
	flags := uint16(dumpToTheEnd)
	if id.Flavor == mysqldump.MariaDB {
		flags |= dumpAnnotations
	}
	if d.conn, err = connOf(d.session); err != nil {
		return err
	}
	body := append([]byte{comBinlogDump}, binary.LittleEndian.AppendUint32(nil, offset)...)
	body = binary.LittleEndian.AppendUint16(body, flags)
	body = binary.LittleEndian.AppendUint32(body, 0) // no server id
	body = append(body, file...)
	d.conn.SetDeadline(time.Now().Add(d.timeout))
	_, err = d.conn.Write(append([]byte{byte(len(body)), byte(len(body) >> 8), 0, 0}, body...))
	return err
}

// connOf returns the connection of a session that has no statement running, TLS included. The driver has no way to send
// the one command that it does not know, and its login is worth keeping: so its field is read.
func connOf(c *Session) (net.Conn, error) {
	v := reflect.ValueOf(c.conn)
	if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if f := v.Elem().FieldByName("netConn"); f.IsValid() && f.Type() == reflect.TypeFor[net.Conn]() {
			return *(*net.Conn)(unsafe.Pointer(f.UnsafeAddr())), nil
		}
	}
	return nil, errors.New("the driver does not show its connection")
}

// Next returns the next event of at most most bytes, as the server sends it: those that it makes up for replicas among
// them. It is valid until the call after. The error is io.EOF at the end of the last log.
func (d *Dump) Next(most int) ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	event, err := d.next(most)
	if err != nil && err != io.EOF {
		if cause := context.Cause(d.ctx); cause != nil {
			err = cause
		}
		err = fmt.Errorf("read binary log of %s: %w", d.session.at, err)
	}
	d.err = err
	return event, err
}

func (d *Dump) next(most int) ([]byte, error) {
	const ok, end, failed, shortest = 0, 0xfe, 0xff, 3
	if cap(d.packet) > 1<<20 { // after an event that is larger than others
		d.packet = nil
	}
	d.packet = d.packet[:0]
	for more := true; more; {
		var head [packetHead]byte
		if err := d.read(head[:]); err != nil {
			return nil, err
		}
		n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		if len(d.packet)+n > most+1 {
			return nil, fmt.Errorf("an event of more than %d bytes", most)
		}
		at := len(d.packet)
		d.packet = append(d.packet, make([]byte, n)...)
		if err := d.read(d.packet[at:]); err != nil {
			return nil, err
		}
		more = n == maxPart
	}
	p := d.packet
	switch {
	case len(p) == 0:
		return nil, mysql.ErrMalformPkt
	case p[0] == ok:
		return p[1:], nil
	case p[0] == end && len(p) < 9:
		return nil, io.EOF
	case p[0] == failed && len(p) >= shortest:
		e := &mysql.MySQLError{Number: binary.LittleEndian.Uint16(p[1:])}
		text := p[3:]
		if len(text) > 6 && text[0] == '#' {
			copy(e.SQLState[:], text[1:6])
			text = text[6:]
		}
		e.Message = string(text)
		return nil, e
	}
	return nil, mysql.ErrMalformPkt
}

// read fills b, as long as something comes within the timeout.
func (d *Dump) read(b []byte) error {
	for len(b) > 0 {
		d.conn.SetReadDeadline(time.Now().Add(d.timeout))
		if d.ctx.Err() != nil { // the deadline for its end may just have been undone
			return context.Cause(d.ctx)
		}
		n, err := d.conn.Read(b)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if b = b[n:]; err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}

// Close ends the connection.
func (d *Dump) Close() error {
	d.stop()
	d.session.conn.Close()
	return d.conn.Close()
}
