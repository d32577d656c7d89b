package jobfile_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/job/jobfile"
)

// A pipe as job file keeps nobody waiting, and a byte order mark changes nothing.
func TestOddFiles(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := jobfile.Read(pipe); err == nil {
		t.Error("a pipe is read")
	}
	if f, err := jobfile.Parse("/x.toml", []byte("\uFEFF[log]\r\nto = \"stderr\"\r\n")); err != nil || f.Log.To != "stderr" {
		t.Errorf("with a byte order mark: %v", err)
	}
}
