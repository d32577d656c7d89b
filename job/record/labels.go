package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Bounds of what Parse takes.
const (
	maxLabel   = 1 << 16
	maxFigures = 200
)

// Labels returns the labels of the record's archive.
func (r *Record) Labels() map[string]string {
	out := maps.Clone(r.Notes)
	if out == nil {
		out = map[string]string{}
	}
	put := func(name, value string) {
		if value != "" {
			out[Prefix+name] = value
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			put(name, t.UTC().Format("2006-01-02T15:04:05.999Z07:00"))
		}
	}
	put("job", r.Job)
	put("kind", r.Kind)
	put("outcome", string(r.Outcome))
	put("exit", strconv.Itoa(r.Exit))
	words := strings.ToValidUTF8(r.Error, "\uFFFD")
	put("error", strings.ToValidUTF8(words[:min(len(words), MaxError)], ""))
	put("archive", r.Archive)
	at("start", r.Start)
	at("end", r.End)
	at("due", r.Due)
	put("schedule", r.Schedule)
	put("zone", r.Zone)
	at("overdue", r.Overdue)
	if len(r.Figures) > 0 {
		b, _ := json.Marshal(r.Figures) // numbers by names: never an error
		put("figures", string(b))
	}
	return out
}

// Parse reads the labels of a record's archive.
func Parse(labels map[string]string) (Record, error) {
	var r Record
	var failed error
	at := func(name string) (t time.Time) {
		if s := labels[Prefix+name]; s != "" {
			var err error
			if t, err = time.Parse(time.RFC3339, s); err != nil && failed == nil {
				failed = fmt.Errorf("read label %s: %w", Prefix+name, err)
			}
		}
		return t
	}
	for name, value := range labels {
		if len(value) > maxLabel {
			return r, fmt.Errorf("read label %q: it has %d bytes, which is more than %d", name, len(value), maxLabel)
		}
		if !strings.HasPrefix(name, Prefix) {
			if r.Notes == nil {
				r.Notes = map[string]string{}
			}
			r.Notes[name] = value
		}
	}
	r.Job, r.Kind, r.Archive = labels[Prefix+"job"], labels[Prefix+"kind"], labels[Prefix+"archive"]
	r.Schedule, r.Zone = labels[Prefix+"schedule"], labels[Prefix+"zone"]
	r.Error = labels[Prefix+"error"]
	r.Error = r.Error[:min(len(r.Error), MaxError)]
	r.Start, r.End, r.Due, r.Overdue = at("start"), at("end"), at("due"), at("overdue")
	switch r.Outcome = Outcome(labels[Prefix+"outcome"]); {
	case r.Job == "":
		return r, fmt.Errorf("read label %sjob: it is missing", Prefix)
	case r.Outcome != Done && r.Outcome != Problems && r.Outcome != Failed:
		return r, fmt.Errorf("read label %soutcome: %q is none", Prefix, r.Outcome)
	}
	var err error
	if r.Exit, err = strconv.Atoi(labels[Prefix+"exit"]); err != nil && failed == nil {
		failed = fmt.Errorf("read label %sexit: %w", Prefix, err)
	}
	if s := labels[Prefix+"figures"]; s != "" && failed == nil {
		if err := json.Unmarshal([]byte(s), &r.Figures); err != nil {
			failed = fmt.Errorf("read label %sfigures: %w", Prefix, err)
		} else if len(r.Figures) > maxFigures {
			failed = fmt.Errorf("read label %sfigures: there are more than %d", Prefix, maxFigures)
		}
	}
	return r, failed
}
