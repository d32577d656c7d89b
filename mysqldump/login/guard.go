package login

import (
	"encoding/binary"
	"errors"
	"net"
	"syscall"
)

// ErrExposed says that a server wants the password itself over a connection that is not encrypted, which it did not get.
var ErrExposed = errors.New("the server wants the password over a connection without TLS, where whoever answers in its place would learn it")

// A guard is a connection on which the driver cannot ask for the server's RSA key, and then send the password encrypted
// for whoever answered: the driver does that unasked, MySQL's own clients do not. It looks at packets until TLS begins
// or the first command is sent.
type guard struct {
	socket
	greeting []byte // that is still to be read
	done     bool   // nothing is looked at
	ahead    []byte // memory for what is read ahead
	left     []byte // of it, what is still to be read
}

// A socket is a connection that the driver can look at to see whether the server has closed it.
type socket interface {
	net.Conn
	syscall.Conn
}

func (g *guard) Read(b []byte) (int, error) {
	if len(g.greeting) > 0 {
		n := copy(b, g.greeting)
		g.greeting = g.greeting[n:]
		return n, nil
	}
	if len(g.left) == 0 {
		if len(b) >= readAhead {
			return g.socket.Read(b)
		}
		if g.ahead == nil {
			g.ahead = make([]byte, readAhead)
		}
		n, err := g.socket.Read(g.ahead)
		if n == 0 {
			return 0, err
		}
		g.left = g.ahead[:n] // an error comes again
	}
	n := copy(b, g.left)
	g.left = g.left[n:]
	return n, nil
}

// readAhead is how many bytes are read at a time: the driver reads 4 KiB of rows.
const readAhead = 64 << 10

const (
	packetHeader = 4 // bytes: the length, and a number that counts from 0 in each exchange
	requestTLS   = 32
	capableTLS   = 0x800
)

// Write is handed whole packets by the driver.
func (g *guard) Write(b []byte) (int, error) {
	if !g.done && len(b) >= packetHeader {
		body := b[packetHeader:]
		switch number := b[3]; {
		case number == 0:
			g.done = true // a command: the handshake is over
		case number == 1: // names the user
			g.done = len(body) == requestTLS && binary.LittleEndian.Uint32(body)&capableTLS != 0
		case !isScramble(len(body)):
			return 1, ErrExposed // the driver keeps the errors of writes that began
		}
	}
	return g.socket.Write(b)
}

// isScramble tells by its length an answer that is of no use to others: none, or that of mysql_native_password,
// caching_sha2_password or ed25519.
func isScramble(n int) bool { return n == 0 || n == 20 || n == 32 || n == 64 }
