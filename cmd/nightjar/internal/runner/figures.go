package runner

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strings"

	"nightjar/internal/quote"
	"nightjar/job/record"
)

// Figures are what a result says in numbers, and what else is kept of it.
type Figures struct {
	Archive string // id of what was made; empty: nothing
	Host    string // of that, as the repository has it
	Numbers map[string]uint64
	Notes   map[string]string // position, no-position, set, snapshots
}

const (
	maxNumbers = 150
	maxNote    = 4 << 10
	maxDepth   = 6
)

var (
	archiveID  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	figureName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,79}$`)
)

// called are numbers that have a name of their own, by what their objects and they are called in results.
var called = map[string]string{
	"elapsed_seconds":      "elapsed_milliseconds",
	"dump_lock_held_ms":    "lock_milliseconds",
	"dump_lock_attempts":   "lock_attempts",
	"hot_held_ms":          "lock_milliseconds",
	"locked_ms":            "lock_milliseconds",
	"frozen_ms":            "frozen_milliseconds",
	"dump_lock_waited_ms":  "lock_waited_milliseconds",
	"dump_lock_covered_ms": "lock_covered_milliseconds",
}

// without are objects that add nothing to the names of what is in them.
var without = map[string]bool{"statistics": true, "taken": true}

// Read reads what a command of nightjar printed with --json: the numbers in objects, at most 150 of them, but for those of the archive, which repeat them. Of what is no object nothing
// is read.
func Read(result []byte) Figures {
	f := Figures{Numbers: map[string]uint64{}, Notes: map[string]string{}}
	d := json.NewDecoder(bytes.NewReader(result))
	d.UseNumber()
	var top map[string]any
	if d.Decode(&top) != nil {
		return f
	}
	if archive, ok := top["archive"].(map[string]any); ok {
		if id, ok := archive["id"].(string); ok && archiveID.MatchString(id) {
			f.Archive = id
		}
		f.Host, _ = archive["host"].(string)
		labels, _ := archive["labels"].(map[string]any)
		f.note("position", labels["position"])
		f.note("no-position", labels["no-position"])
	}
	taken, _ := top["taken"].(map[string]any)
	set, _ := taken["set"].(map[string]any)
	f.note("set", set["set"])
	f.stored(top["stored"])
	f.numbers("", top, maxDepth)
	if given, ok := top["archives"].([]any); ok {
		f.decisions(given)
	}
	return f
}

func (f *Figures) note(name string, value any) {
	if text, ok := value.(string); ok && text != "" && len(text) <= maxNote {
		f.Notes[name] = quote.Text(text)
	}
}

// stored notes what snapshots take, if it is that.
func (f *Figures) stored(given any) {
	text, err := json.Marshal(given)
	if err != nil {
		return
	}
	if all, err := record.ParseStored(string(text)); err == nil && len(all) > 0 {
		f.Notes[record.Snapshots] = record.EncodeStored(all)
	}
}

// decisions counts the archives that forget gave up and kept.
func (f *Figures) decisions(all []any) {
	for _, x := range all {
		one, _ := x.(map[string]any)
		if keep, ok := one["keep"].(bool); ok && keep {
			f.Numbers["archives_kept"]++
		} else if ok {
			f.Numbers["archives_forgotten"]++
		}
	}
}

func (f *Figures) numbers(prefix string, object map[string]any, depth int) {
	for name, value := range object {
		switch v := value.(type) {
		case map[string]any:
			switch {
			case depth == 0, prefix == "" && name == "archive":
			case without[name]:
				f.numbers(prefix, v, depth-1)
			default:
				f.numbers(prefix+name+"_", v, depth-1)
			}
		case json.Number:
			f.number(prefix+name, v)
		}
	}
}

func (f *Figures) number(name string, n json.Number) {
	x, err := n.Float64()
	if err != nil || x < 0 || x > math.MaxInt64 || len(f.Numbers) >= maxNumbers {
		return
	}
	if strings.HasSuffix(name, "_seconds") {
		x *= 1000
	}
	if own, ok := called[name]; ok {
		name = own
	} else if of, ok := strings.CutSuffix(name, "_seconds"); ok {
		name = of + "_milliseconds"
	} else if of, ok := strings.CutSuffix(name, "_ms"); ok {
		name = of + "_milliseconds"
	}
	if !figureName.MatchString(name) {
		return
	}
	if whole, err := n.Int64(); err == nil && !strings.HasSuffix(name, "_milliseconds") {
		f.Numbers[name] = uint64(whole)
		return
	}
	f.Numbers[name] = uint64(math.Round(x))
}
