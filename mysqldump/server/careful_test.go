package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump/servertest"
)

// hostile are answers to a query that no server gives: each is sent, and then the connection ends.
var hostile = map[string][]byte{
	"nothing":                 nil,
	"half a header":           {5, 0},
	"an empty packet":         {0, 0, 0, 1},
	"a length without end":    {0xff, 0xff, 0xff, 1, 1},
	"an error without number": {1, 0, 0, 1, 0xff},
	"half an error":           {2, 0, 0, 1, 0xff, 1},
	"half an OK":              {2, 0, 0, 1, 0, 0xfe},
	"an OK without flags":     {1, 0, 0, 1, 0},
	"half a number":           {1, 0, 0, 1, 0xfc},
	"columns without end":     {9, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	"half a column":           {1, 0, 0, 1, 1, 1, 0, 0, 2, 0xfe},
	"a column too long":       {1, 0, 0, 1, 1, 2, 0, 0, 2, 0xfd, 9},
	"half a row":              append(column(), 1, 0, 0, 4, 0xfd),
	"a row too long":          append(column(), 3, 0, 0, 4, 0xfc, 0xff, 0xff),
	"a file":                  {12, 0, 0, 1, 0xfb, '/', 'e', 't', 'c', '/', 'p', 'a', 's', 's', 'w', 'd'},
	"another order":           {1, 0, 0, 77, 0},
}

// column is the head of a result with one column.
func column() []byte {
	d := []byte{3, 'd', 'e', 'f', 0, 0, 0, 1, 'a', 0, 0x0c, 63, 0, 1, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0}
	all := append([]byte{1, 0, 0, 1, 1, byte(len(d)), 0, 0, 2}, d...)
	return append(all, 5, 0, 0, 3, 0xfe, 0, 0, 0, 0)
}

// A server that answers what no server does ends the session with an error, in each call.
func TestHostile(t *testing.T) {
	real := servertest.Start(t, servertest.MariaDB1011)
	const asked = "SELECT 'what is hostile'"
	calls := map[string]func(c *Session) error{
		"Exec":  func(c *Session) error { return c.Exec(t.Context(), asked) },
		"Query": func(c *Session) error { return c.Query(t.Context(), asked, func([][]byte) error { return nil }) },
		"Rows":  func(c *Session) error { _, err := c.Rows(t.Context(), asked); return err },
	}
	for name, answer := range hostile {
		config := real.Config()
		config.Addr = lying(t, config.Addr, asked, answer)
		srv, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		for call, f := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			c, err := srv.Connect(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if f(c) == nil && name != "an OK without flags" && name != "an empty packet" { // of which the driver makes an empty result
				t.Errorf("%s: %s has no error", name, call)
			}
			c.Close()
			cancel()
		}
	}
}

// lying passes connections on to a server, and answers one query itself.
func lying(t *testing.T, to, asked string, answer []byte) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { l.Close(); work.Wait() })
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			work.Go(func() { _, _ = io.Copy(client, server); client.Close() })
			work.Go(func() {
				defer client.Close()
				defer server.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := client.Read(buf)
					if err != nil {
						return
					}
					if bytes.Contains(buf[:n], []byte(asked)) {
						_, _ = client.Write(answer)
						return
					}
					if _, err := server.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}
