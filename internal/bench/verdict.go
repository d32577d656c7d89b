package main

import "fmt"

// verdict is a requirement and how it went.
type verdict struct {
	work, what    string
	figure, bound string
	result        string // ok, MISSES, or why it cannot be judged
}

// figure is what a requirement is about. One that is missing says why.
type figure struct {
	value   float64
	missing string
}

// of is a figure of a tool's row.
func (w *work) of(tool, step string, what func(row) float64) figure {
	r, ok := w.row(tool, step)
	switch {
	case !ok:
		return figure{missing: fmt.Sprintf("not judged: no %s of %s", step, tool)}
	case r.failed():
		return figure{missing: fmt.Sprintf("not judged: %s of %s failed", step, tool)}
	}
	return figure{value: what(r)}
}

// against is what nightjar took for a step in parts of what another tool took.
func (w *work) against(other, step string, what func(row) float64) figure {
	return w.of("nightjar", step, what).per(w.of(other, step, what))
}

// per divides.
func (f figure) per(g figure) figure {
	switch {
	case f.missing != "":
		return f
	case g.missing != "":
		return g
	case g.value == 0:
		return figure{missing: "not judged: divided by nothing"}
	}
	return figure{value: f.value / g.value}
}

// unit says how a figure is printed: divided by size, with as many digits and the name behind.
type unit struct {
	size   float64
	digits int
	name   string
}

var (
	times     = unit{1, 2, ""}
	percent   = unit{0.01, 0, " %"}
	perMille  = unit{0.001, 0, " ‰"}
	megabytes = unit{1e6, 2, " MB"}
	mebibytes = unit{1 << 20, 0, " MiB"}
)

func (u unit) format(value float64) string {
	return fmt.Sprintf("%.*f%s", u.digits, value/u.size, u.name)
}

func (w *work) atMost(what string, f figure, bound float64, u unit) {
	w.judge(what, f, "<= "+u.format(bound), f.value <= bound, u)
}

func (w *work) atLeast(what string, f figure, bound float64, u unit) {
	w.judge(what, f, ">= "+u.format(bound), f.value >= bound, u)
}

func (w *work) judge(what string, f figure, bound string, met bool, u unit) {
	v := verdict{w.name, what, u.format(f.value), bound, "MISSES"}
	if f.missing != "" {
		v.figure, v.result = "-", f.missing
	} else if met {
		v.result = "ok"
	}
	w.verdicts = append(w.verdicts, v)
}

func (b *bench) printVerdicts() {
	const layout = "%-9s %-52s %12s %14s  %s\n"
	fmt.Fprintf(b.out, "verdict, scale %v\n\n", b.scale)
	fmt.Fprintf(b.out, layout, "work", "requirement", "figure", "bound", "result")
	for _, v := range b.verdicts {
		fmt.Fprintf(b.out, layout, v.work, v.what, v.figure, v.bound, v.result)
	}
}
