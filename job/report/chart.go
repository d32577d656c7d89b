package report

import (
	"fmt"
	"math"
	"time"

	"nightjar/internal/human"
	"nightjar/job/history"
)

// A chart has a bar for each day.
type chart struct {
	Title, Most, Text string // Text is read aloud in the place of the picture
	Width             int
	Bars              []bar
	Path              string // all bars in one, of a page that would be too large with each by itself
	From, To          string
}

// A bar is placed in the units of the picture, which is chartHeight high.
type bar struct {
	X, Y, Height float64
	Text         string
}

const (
	chartHeight = 60
	barWidth    = 8 // with the gap behind it

	manyDays = 10_000 // of all jobs, from which on bars cannot be pointed at
)

// chartsOf draws new bytes, durations and files of a job's days. What was never more than nothing is not drawn.
func chartsOf(nights []*history.Night, first time.Time, in *Input) (all []chart) {
	for _, c := range []struct {
		title string
		of    func(n *history.Night) float64
		sum   bool // of a day, rather than its last
		text  func(x float64) string
	}{
		{"New in the repository", func(n *history.Night) float64 { return float64(figure(n, "bytes_stored")) }, true, func(x float64) string { return human.Size(uint64(x)) }},
		{"Duration", func(n *history.Night) float64 { return n.Duration().Seconds() }, true, func(x float64) string {
			return human.Elapsed(time.Duration(x * float64(time.Second)).Round(100 * time.Millisecond))
		}},
		{"Files", func(n *history.Night) float64 { return float64(figure(n, "files")) }, false, func(x float64) string { return fmt.Sprintf("%.0f", x) }},
	} {
		values := make([]float64, in.Days)
		for _, n := range nights {
			day := int(dayOf(n.At.In(in.Zone)).Sub(first) / (24 * time.Hour))
			if day < 0 || day >= in.Days {
				continue
			}
			if x := c.of(n); x > 0 && c.sum {
				values[day] += x
			} else if x > 0 {
				values[day] = x
			}
		}
		if drawn, ok := draw(c.title, values, first, c.text, in.Days*len(in.Jobs) > manyDays); ok {
			all = append(all, drawn)
		}
	}
	return all
}

func draw(title string, values []float64, first time.Time, text func(float64) string, many bool) (chart, bool) {
	most, at := 0.0, 0
	for i, x := range values {
		if x > most {
			most, at = x, i
		}
	}
	if most == 0 {
		return chart{}, false
	}
	last := len(values) - 1
	form := "2 January"
	if first.Year() != first.AddDate(0, 0, last).Year() {
		form += " 2006"
	}
	day := func(i int) string { return first.AddDate(0, 0, i).Format(form) }
	c := chart{
		Title: title, Most: text(most), Width: barWidth * len(values), From: day(0), To: day(last),
		Text: fmt.Sprintf("%s a day from %s to %s: at most %s, on %s; on the last day %s", title, day(0), day(last), text(most), day(at), text(values[last])),
	}
	var path []byte
	for i, x := range values {
		if x <= 0 {
			continue
		}
		height := max(1, math.Round(10*x/most*chartHeight)/10) // what there is can be seen
		if many {
			path = fmt.Appendf(path, "M%d 60V%gh6V60z", barWidth*i, chartHeight-height)
			continue
		}
		c.Bars = append(c.Bars, bar{X: float64(barWidth * i), Y: chartHeight - height, Height: height, Text: day(i) + ": " + text(x)})
	}
	c.Path = string(path)
	return c, true
}
