package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// ErrNotServer says that what answers is neither a MySQL nor a MariaDB server.
var ErrNotServer = errors.New("what answers there is no MySQL or MariaDB server")

const (
	maxGreeting = 64 << 10 // bytes
	minGreeting = 44       // bytes after the version, of servers since 5.5
	minRefusal  = 9        // bytes of an error in its place
	refusal     = 0xff
	oldest      = 10 // version of the protocol
)

// greeting reads the first packet of a server, whole. The driver takes its form for granted, and panics where it is
// another, such as that of the X protocol.
func greeting(ctx context.Context, conn net.Conn) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	packet := make([]byte, packetHeader)
	_, err := io.ReadFull(conn, packet)
	if err == nil {
		n := int(packet[0]) | int(packet[1])<<8 | int(packet[2])<<16
		if n > maxGreeting || packet[3] != 0 {
			return nil, ErrNotServer
		}
		packet = append(packet, make([]byte, n)...)
		_, err = io.ReadFull(conn, packet[packetHeader:])
	}
	if !stop() {
		return nil, fmt.Errorf("no greeting came: %w", context.Cause(ctx))
	}
	if err == io.EOF { // a server that goes down behind a proxy: the connection broke
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("no greeting came: %w", err)
	}
	if !isGreeting(packet[packetHeader:]) {
		return nil, ErrNotServer
	}
	return packet, nil
}

func isGreeting(body []byte) bool {
	if len(body) == 0 || body[0] < oldest {
		return false
	}
	if body[0] == refusal {
		return len(body) >= minRefusal
	}
	version := bytes.IndexByte(body[1:], 0)
	return version >= 0 && len(body)-(1+version+1) >= minGreeting
}
