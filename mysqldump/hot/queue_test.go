package hot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// sink takes a file in memory, and fails once it has had so many bytes; a negative number: never.
type sink struct {
	bytes.Buffer
	fail            int
	began           chan struct{} // closed by the first write
	hold            chan struct{} // which waits for this
	once            sync.Once
	closed, aborted bool
}

var errSink = errors.New("no room is left")

func (s *sink) Write(b []byte) (int, error) {
	if s.hold != nil {
		s.once.Do(func() { close(s.began) })
		<-s.hold
	}
	if s.fail >= 0 && s.Len()+len(b) > s.fail {
		return 0, errSink
	}
	return s.Buffer.Write(b)
}

func (s *sink) Close() error { s.closed = true; return nil }
func (s *sink) Abort()       { s.aborted = true }

// Many files that interleave come out as they were written, though they are more than a queue holds.
func TestQueue(t *testing.T) {
	q := newQueue()
	var sinks []*sink
	var files []*queued
	for range 20 {
		s := &sink{fail: -1}
		sinks, files = append(sinks, s), append(files, q.file(s))
	}
	want := make([][]byte, len(files))
	for round := range 4 {
		for i, f := range files {
			part := bytes.Repeat([]byte{byte(i), byte(round)}, pieceSize/2+i)
			want[i] = append(want[i], part...)
			if round%2 == 1 {
				if n, err := f.ReadFrom(bytes.NewReader(part)); n != int64(len(part)) || err != nil {
					t.Fatal(n, err)
				}
			} else if n, err := f.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
			clear(part) // the queue keeps nothing of it
		}
	}
	for i, f := range files {
		if i == 7 {
			f.Abort()
		} else if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.wait(); err != nil {
		t.Fatal(err)
	}
	for i, s := range sinks {
		if s.closed == s.aborted || s.aborted != (i == 7) || !bytes.Equal(s.Bytes(), want[i]) {
			t.Errorf("file %d: closed: %v, aborted: %v, %d bytes of %d", i, s.closed, s.aborted, s.Len(), len(want[i]))
		}
	}
}

// A file that fails ends all, and none that was not whole is closed.
func TestQueueFails(t *testing.T) {
	q := newQueue()
	held := &sink{fail: -1, began: make(chan struct{}), hold: make(chan struct{})}
	slow := q.file(held)
	if _, err := fmt.Fprint(slow, "some"); err != nil {
		t.Fatal(err)
	}
	<-held.began
	full := &sink{fail: 10}
	bad := q.file(full)
	for range 2 * queueMemory / pieceSize { // more than has room
		if _, err := bad.Write(make([]byte, pieceSize)); err != nil {
			if !errors.Is(err, errSink) {
				t.Error(err)
			}
			break
		}
	}
	close(held.hold)
	_ = bad.Close()
	slow.Abort()
	if err := q.wait(); !errors.Is(err, errSink) || full.closed || !full.aborted || held.closed || !held.aborted {
		t.Errorf("%v, %+v, %+v", err, full, held)
	}
	late := q.file(&sink{fail: -1})
	if _, err := late.Write([]byte("x")); !errors.Is(err, errSink) {
		t.Errorf("after a failure: %v", err)
	}
	late.Abort()
	broken := errors.New("the stream is gone")
	q = newQueue()
	half := &sink{fail: -1}
	last := q.file(half)
	if n, err := last.ReadFrom(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); n != 4 || !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %d, %v", n, err)
	}
	last.Abort()
	if half.closed || !half.aborted {
		t.Errorf("a file whose reader failed: %+v", half)
	}
}
