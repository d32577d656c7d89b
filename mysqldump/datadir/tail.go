package datadir

import (
	"strings"
	"sync"
)

// tail keeps the end of what a program says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - maxSaid; over > 0 {
		t.text = t.text[:copy(t.text, t.text[over:])]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// last is the last line.
func (t *tail) last() string {
	text := strings.TrimSpace(t.String())
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// errors are the last lines that tell of errors, or the last of all.
func (t *tail) errors() string {
	var found []string
	for line := range strings.Lines(t.String()) {
		if lower := strings.ToLower(line); strings.Contains(lower, "error") || strings.Contains(lower, "fail") || strings.Contains(lower, "no space") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) == 0 {
		return t.last()
	}
	return strings.Join(found[max(0, len(found)-3):], "; ")
}
