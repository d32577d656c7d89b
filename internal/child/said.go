package child

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	firstWord = 4 << 10 // bytes of standard error that an Excerpt passes on at once
	lastWord  = 4 << 10 // bytes of standard error that are kept
)

// A tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, b[max(0, len(b)-lastWord):]...)
	if over := len(t.data) - lastWord; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(t.data, []byte("?"))))
}

// An Excerpt passes on the beginning of what a program says, 4 KiB, as it is said, and of the rest the last 4 KiB at its end. Its zero value is not for use: NewExcerpt makes one.
type Excerpt struct {
	mu   sync.Mutex
	to   io.Writer
	head int // bytes that may still be passed on at once
	rest int // bytes that came later
	end  tail
}

// NewExcerpt returns an Excerpt that writes to a writer. That one cannot be written to is no error.
func NewExcerpt(to io.Writer) *Excerpt { return &Excerpt{to: to, head: firstWord} }

// Write takes all of b.
func (e *Excerpt) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := b[:min(e.head, len(b))]
	if len(now) > 0 {
		_, _ = e.to.Write(now)
	}
	e.head -= len(now)
	e.rest += len(b) - len(now)
	_, _ = e.end.Write(b[len(now):])
	return len(b), nil
}

// Close passes on the end, after a line that says how much is left out. What is written later is not passed on.
func (e *Excerpt) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if left := e.rest - len(e.end.data); left > 0 {
		fmt.Fprintf(e.to, "\n[%d bytes left out]\n", left)
	}
	_, _ = e.to.Write(e.end.data)
	e.head, e.rest, e.end.data = 0, 0, nil
}
