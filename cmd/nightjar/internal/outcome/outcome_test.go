package outcome

import (
	"fmt"
	"strings"
	"testing"

	"nightjar/mysqldump/server"
)

// TestHintNoBinaryLog wants who installed a server as Debian has it to read what to set.
func TestHintNoBinaryLog(t *testing.T) {
	hint := Hint(fmt.Errorf("dump: %w", server.ErrNoBinaryLog), "nightjar mysql dump")
	for _, want := range []string{"log_bin=", "server_id=", "restart", "nightjar mysql check"} {
		if !strings.Contains(hint, want) {
			t.Errorf("hint %q lacks %q", hint, want)
		}
	}
}
