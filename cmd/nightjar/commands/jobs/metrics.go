package jobs

import (
	"context"
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/commands/monitor"
)

// publish writes metrics where the job file says, after runs that were begun. It never fails a run.
func (r *jobRuns) publish(ctx context.Context) {
	r.mu.Lock()
	some := len(r.ran)+len(r.failed) > 0
	r.mu.Unlock()
	if some {
		r.writeMetrics(ctx)
	}
}

func (r *jobRuns) writeMetrics(ctx context.Context) {
	path := r.file.Metrics.Textfile
	if path == "" || ctx.Err() != nil {
		return
	}
	text, err := monitor.MetricsText(ctx, r.App, false)
	if text != nil {
		err = errors.Join(err, monitor.WriteMetrics(path, text))
	}
	if err != nil {
		r.warn(fmt.Errorf("metrics in %s: %w", path, err))
	}
}
