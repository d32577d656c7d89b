package server

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// fake lets one answer after the other to logins be given by a server that is none.
func fake(t *testing.T, answers ...string) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, answer := range answers {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, packet(0, "\x0a5.5.5-10.11\x00\x01\x00\x00\x0012345678\x00\xff\xf7\x08\x02\x00\xff\x81\x15"+strings.Repeat("\x00", 10)+"123456789012\x00mysql_native_password\x00"))
			header := make([]byte, 4)
			_, _ = io.ReadFull(conn, header)
			_, _ = io.CopyN(io.Discard, conn, int64(header[0])|int64(header[1])<<8)
			_, _ = io.WriteString(conn, packet(2, answer))
			_, _ = io.Copy(io.Discard, conn) // until the driver has closed it
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Addr = "ed", "secret", listener.Addr().String()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func packet(number byte, body string) string {
	return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, number}) + body
}

// A challenge that ends in 0 is one that the driver fails on; the next one is another.
func TestChallengeThatEndsInZero(t *testing.T) {
	const denied = "\xff\x15\x04#28000Access denied"
	challenge := "\xfeclient_ed25519\x00" + strings.Repeat("x", 31) + "\x00"
	_, err := fake(t, challenge, challenge, denied).Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Access denied") {
		t.Errorf("connect: %v", err)
	}
	endless := make([]string, retries+1)
	for i := range endless {
		endless[i] = challenge
	}
	if _, err := fake(t, endless...).Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "malformed packet") {
		t.Errorf("connect to what is no server: %v", err)
	}
}
