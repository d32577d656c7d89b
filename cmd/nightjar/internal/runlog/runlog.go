// Package runlog writes the log of runs that the job file asks for: to standard error, the journal or a file.
//
// It writes records of log/slog and nothing else; what they say is up to its callers. A log that cannot be opened is an error, and one that cannot be written to any more is none.
package runlog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"

	slogjournal "github.com/systemd/slog-journal"
	"golang.org/x/sys/unix"

	"nightjar/job/jobfile"
)

// A Log is where records go. The zero value drops them.
type Log struct {
	*slog.Logger
	Alone bool // it is on standard error, where nothing else is to be
	file  *os.File
}

// Open opens what the job file names; an empty jobfile.Log is a log that drops all.
func Open(l jobfile.Log, stderr io.Writer) (*Log, error) {
	if l.Format == "" && l.To == "" {
		return &Log{Logger: slog.New(slog.DiscardHandler)}, nil
	}
	switch l.To {
	case "", "stderr":
		return &Log{Logger: slog.New(handler(l.Format, stderr)), Alone: true}, nil
	case "journal":
		h, err := slogjournal.NewHandler(&slogjournal.Options{Level: slog.LevelInfo, ReplaceAttr: Field, ReplaceGroup: func(string) string { return "NIGHTJAR" }})
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		return &Log{Logger: slog.New(h)}, nil
	}
	f, err := os.OpenFile(l.To, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{Logger: slog.New(handler(l.Format, f)), file: f}, nil
}

func handler(format string, to io.Writer) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(to, nil)
	}
	return slog.NewTextHandler(to, nil)
}

var unfit = regexp.MustCompile(`[^A-Z0-9_]`)

// Field gives an attribute a name that the journal takes. Those of a group have its prefix.
func Field(groups []string, a slog.Attr) slog.Attr {
	name := unfit.ReplaceAllString(strings.ToUpper(a.Key), "_")
	if len(groups) == 0 && !strings.HasPrefix(name, "NIGHTJAR_") {
		name = "NIGHTJAR_" + name
	}
	a.Key = name[:min(len(name), 64)]
	return a
}

// Close closes a file.
func (l *Log) Close() {
	if l.file != nil {
		l.file.Close()
	}
}
