package jobs

import (
	"context"
	"log/slog"
	"strings"

	"nightjar/cmd/nightjar/internal/runlog"
	"nightjar/internal/quote"
)

// passOn returns what passes on what a job says on standard error, to the log too.
func (r *jobRuns) passOn(x *jobRun) func(line string) {
	return func(line string) {
		level, text := slog.LevelInfo, line
		for kind, l := range map[string]slog.Level{"error": slog.LevelError, "warning": slog.LevelWarn, "hint": slog.LevelInfo, "note": slog.LevelInfo} {
			if said, ok := strings.CutPrefix(line, "nightjar: "+kind+": "); ok {
				level, text = l, said
			}
		}
		r.log.Log(context.Background(), level, text, runlog.Summary, "job "+quote.Display(x.Name)+": "+text, "job", x.Name)
		if !r.log.Alone {
			r.Line(line)
		}
	}
}

// tell says something of a run in the log, and on standard error unless the log is there.
func (r *jobRuns) tell(kind, text string) {
	level := map[string]slog.Level{"error": slog.LevelError, "warning": slog.LevelWarn}[kind]
	r.log.Log(context.Background(), level, quote.Display(text))
	if !r.log.Alone {
		r.Say(kind, text)
	}
}

// warn tells of what is wrong but stops no run.
func (r *jobRuns) warn(err error) { r.tell("warning", err.Error()) }
