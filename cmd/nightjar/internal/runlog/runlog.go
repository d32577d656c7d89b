// Package runlog writes the log of runs that the job file asks for: to standard error, the journal or a file.
//
// It writes records of log/slog and nothing else; what they say is up to its callers. A log that cannot be opened is an error, and one that cannot be written to any more is none.
package runlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"syscall"

	slogjournal "github.com/systemd/slog-journal"
	"golang.org/x/sys/unix"

	"nightjar/job/jobfile"
)

// Summary is the key of an attribute that says for people what a record is about. In the journal, which shows nothing else of a record, it is the message; elsewhere it is left out.
const Summary = "summary"

// A Log is where records go. The zero value drops them.
type Log struct {
	*slog.Logger
	Alone bool // it is where standard error goes, and nothing is to be said there twice
	file  *os.File
}

// Open opens what the job file names; an empty jobfile.Log is a log that drops all. stream is the variable JOURNAL_STREAM, by which systemd says that standard error is the journal.
func Open(l jobfile.Log, stderr io.Writer, stream string) (*Log, error) {
	if l.Format == "" && l.To == "" {
		return &Log{Logger: slog.New(slog.DiscardHandler)}, nil
	}
	switch l.To {
	case "", "stderr":
		return &Log{Logger: slog.New(handler(l.Format, stderr)), Alone: true}, nil
	case "journal":
		h, err := slogjournal.NewHandler(&slogjournal.Options{Level: slog.LevelInfo, ReplaceAttr: Field})
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		return &Log{Logger: slog.New(journal{h}), Alone: isStream(stderr, stream)}, nil
	}
	f, err := os.OpenFile(l.To, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{Logger: slog.New(handler(l.Format, f)), file: f}, nil
}

func handler(format string, to io.Writer) slog.Handler {
	o := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == Summary {
			return slog.Attr{}
		}
		return a
	}}
	if format == "json" {
		return slog.NewJSONHandler(to, o)
	}
	return slog.NewTextHandler(to, o)
}

// isStream reports whether a file is what JOURNAL_STREAM names: device and inode.
func isStream(f io.Writer, stream string) bool {
	file, ok := f.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", s.Dev, s.Ino) == stream
}

// journal writes records as people read them there. Groups are taken apart, since the fields of the journal have none.
type journal struct{ slog.Handler }

func (j journal) Handle(ctx context.Context, r slog.Record) error {
	told := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		switch v := a.Value; {
		case a.Key == Summary:
			told.Message = v.String()
		case v.Kind() == slog.KindGroup:
			told.AddAttrs(v.Group()...)
		case v.Kind() != slog.KindTime || !v.Time().IsZero():
			told.AddAttrs(a)
		}
		return true
	})
	return j.Handler.Handle(ctx, told)
}

var unfit = regexp.MustCompile(`[^A-Z0-9_]`)

// Field gives an attribute a name that the journal takes.
func Field(_ []string, a slog.Attr) slog.Attr {
	name := unfit.ReplaceAllString(strings.ToUpper(a.Key), "_")
	if !strings.HasPrefix(name, "NIGHTJAR_") {
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
