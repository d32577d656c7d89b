package jobs

import (
	"context"
	"log/slog"
	"strings"

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
		r.log.Log(context.Background(), level, text, "job", x.Name)
		if !r.log.Alone {
			r.Line(line)
		}
	}
}

// tell says something of a job on standard error, unless all that is there is the log.
func (r *jobRuns) tell(kind, text string) {
	if !r.log.Alone {
		r.Say(kind, text)
		return
	}
	level := map[string]slog.Level{"error": slog.LevelError, "warning": slog.LevelWarn}[kind]
	r.log.Log(context.Background(), level, quote.Display(text))
}
