// Package progress draws a line that says how far something is.
//
// The invariant: the line is gone when it ends, and messages that are written meanwhile stand whole above it. Whether anybody watches, the caller knows.
package progress

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"nightjar/internal/human"
	"nightjar/internal/watch"
)

const every = 200 * time.Millisecond

// A Meter says how far something is. Its functions may be called at any time.
type Meter struct {
	Text    func() string
	Current func() int64
	Total   func() int64 // expected; 0: not known yet
	Bytes   bool         // they count bytes
}

// Saved is the meter of a backup or a restore.
func Saved(p *watch.Progress, total *atomic.Uint64) Meter {
	return Meter{
		Text: func() string {
			text := fmt.Sprintf("%s, %s", human.Count(p.Files.Load(), "file"), human.Size(p.Bytes.Load()))
			if n := p.Problem.Load(); n > 0 {
				text += ", " + human.Count(n, "problem")
			}
			return text
		},
		Current: func() int64 { return int64(p.Bytes.Load()) },
		Total:   func() int64 { return int64(total.Load()) },
		Bytes:   true,
	}
}

// Draw draws a line on a terminal until stop is called. What is written to above appears above the line.
func Draw(terminal io.Writer, m Meter) (above io.Writer, stop func()) {
	start := time.Now()
	container := mpb.New(mpb.WithOutput(terminal), mpb.WithAutoRefresh(), mpb.WithRefreshRate(every))
	text := decor.Any(func(decor.Statistics) string { return m.Text() })
	left := decor.Any(func(s decor.Statistics) string {
		if s.Total <= 0 || s.Current <= 0 {
			return ""
		}
		rest := float64(s.Total-s.Current) / float64(s.Current)
		return "  left " + time.Duration(rest*float64(time.Since(start))).Round(time.Second).String()
	})
	after := []decor.Decorator{decor.Elapsed(decor.ET_STYLE_MMSS, decor.WC{W: 6}), left}
	if m.Bytes {
		after = append([]decor.Decorator{decor.AverageSpeed(decor.SizeB1024(0), "% .1f")}, after...)
	}
	bar := container.New(0, mpb.BarStyle(), mpb.PrependDecorators(text, decor.Name("  ")), mpb.AppendDecorators(after...))

	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				n := m.Current()
				if expected := m.Total(); expected > 0 {
					bar.SetTotal(expected, false)
					n = min(n, expected-1) // an estimate: the end is told, not reached
				}
				bar.SetCurrent(n)
			}
		}
	}()
	return wholeLines{container}, func() {
		close(done)
		<-ended
		bar.Abort(true)
		container.Wait()
	}
}

// wholeLines writes lines above the progress line.
type wholeLines struct{ p *mpb.Progress }

func (l wholeLines) Write(b []byte) (int, error) { return l.p.Write(b) }
