package runlog_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/internal/runlog"
	"nightjar/job/jobfile"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	for _, l := range []jobfile.Log{{}, {Format: "json"}, {To: "stderr"}, {To: file, Format: "json"}, {To: file}} {
		var said bytes.Buffer
		log, err := runlog.Open(l, &said, "")
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("job ended", "job", "a\nb\x1b[2J", runlog.Summary, "a job has ended", slog.Group("figures", slog.Uint64("bytes", 1<<60)))
		log.Close()
		text := said.String()
		if l.To == file {
			b, _ := os.ReadFile(file)
			text = string(b)
			os.Remove(file)
		}
		if strings.Count(text, "\n") > 1 || strings.Contains(text, "\x1b") || strings.Contains(text, "a job has ended") {
			t.Errorf("%+v: %q", l, text)
		}
		if log.Alone != (l.To == "stderr" || l.To == "" && l.Format != "") || (text == "") != (l == jobfile.Log{}) {
			t.Errorf("%+v: %q, alone %v", l, text, log.Alone)
		}
		if l.Format == "json" {
			var v struct {
				Level, Job string
				Figures    map[string]uint64
			}
			if err := json.Unmarshal([]byte(text), &v); err != nil || v.Level != "WARN" || v.Figures["bytes"] != 1<<60 {
				t.Errorf("%q: %+v, %v", text, v, err)
			}
		}
	}
	if err := os.Symlink("/etc/passwd", file); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{file, dir, filepath.Join(dir, "none", "log")} {
		if _, err := runlog.Open(jobfile.Log{To: to}, nil, ""); err == nil {
			t.Errorf("%s is a log", to)
		}
	}
}

func TestField(t *testing.T) {
	for key, want := range map[string]string{"job": "NIGHTJAR_JOB", "bytes stored=": "NIGHTJAR_BYTES_STORED_", "_PID": "NIGHTJAR__PID", strings.Repeat("x", 100): "NIGHTJAR_" + strings.Repeat("X", 55)} {
		if got := runlog.Field(nil, slog.Int(key, 1)).Key; got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}
