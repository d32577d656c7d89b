package pace

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Connections together move as many bytes a second as is said, in each direction, and all of them.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := New(100_000, 50_000)
		data := bytes.Repeat([]byte("pace"), 50_000)
		begun, done := time.Now(), make(chan error, 2)
		for range 2 {
			here, there := net.Pipe()
			c := limits.Conn(here)
			go func() { _, _ = io.Copy(there, there) }() // which answers with what it is sent
			go func() {
				_, err := c.Write(data)
				done <- err
			}()
			go func() {
				got := make([]byte, len(data))
				_, err := io.ReadFull(c, got)
				if !bytes.Equal(got, data) {
					t.Errorf("other bytes came back")
				}
				done <- err
				c.Close()
				there.Close()
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begun); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("400,000 bytes came down at 50,000 a second in %v", took)
		}
		synctest.Wait()
	})
}

// Whoever waits for his turn is not held up when the connection is closed, and no limit is no wrapper.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		if c := New(0, 0).Conn(here); c != here {
			t.Error("wrapped for nothing")
		}
		c := New(1, 0).Conn(here)
		go func() { _, _ = io.Copy(io.Discard, there) }()
		go func() {
			time.Sleep(time.Second)
			c.Close()
		}()
		if n, err := c.Write(make([]byte, 5000)); n != 512 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("wrote %d, %v", n, err)
		}
		there.Close()
		synctest.Wait()
	})
}
