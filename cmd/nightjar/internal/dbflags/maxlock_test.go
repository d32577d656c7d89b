package dbflags

import (
	"io"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestMaxLock(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 30 * time.Second, "1s": time.Second, "1ms": 0, "0": 0, "-1s": 0, "x": 0} {
		var d time.Duration
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		MaxLock(f, &d)
		var args []string
		if text != "" {
			args = []string{"--max-lock=" + text}
		}
		if err := f.Parse(args); (err == nil) != (want > 0) || err == nil && d != want {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
}
