// Package show writes and reads what people and scripts see: archives, keys, modes, tables, JSON.
//
// The invariant: nothing that comes from outside gets into text unescaped. The package decides nothing and prints nowhere by itself.
package show

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Block prints names and values in two columns, but for names without a value. Values must be harmless.
func Block(w io.Writer, rows [][2]string) {
	rows = slices.DeleteFunc(rows, func(r [2]string) bool { return r[1] == "" })
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r[0], r[1])
	}
}

// A JSONArray prints an array element by element, however long it is.
type JSONArray struct {
	W     io.Writer
	begun bool
}

// Add prints an element.
func (j *JSONArray) Add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	separator := "[\n "
	if j.begun {
		separator = ",\n "
	}
	j.begun = true
	_, err = fmt.Fprintf(j.W, "%s%s", separator, b)
	return err
}

// End ends the array; without it, what was printed is no JSON.
func (j *JSONArray) End() error {
	text := "[]\n"
	if j.begun {
		text = "\n]\n"
	}
	_, err := io.WriteString(j.W, text)
	return err
}
