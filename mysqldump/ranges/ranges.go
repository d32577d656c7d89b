// Package ranges cuts tables into ranges of their keys, which stay where they are from dump to dump.
//
// The invariant: each row of a table is in exactly one of the ranges of a chain.
package ranges

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// A Range is the rows of a table from one bound until another.
type Range struct {
	From, Until Bound
	Number      int // of its file
}

// Chain puts ranges in the order of the keys, if they are all, from the beginning to the end; else it returns nil.
func Chain(ranges []Range) []Range {
	byStart := map[string]Range{}
	for _, r := range ranges {
		byStart[r.From.String()] = r
	}
	if len(byStart) != len(ranges) {
		return nil
	}
	var all []Range
	for at := Bound(nil).String(); len(all) < len(ranges); {
		r, ok := byStart[at]
		if !ok {
			return nil
		}
		all = append(all, r)
		if r.Until == nil {
			break
		}
		at = r.Until.String()
	}
	if len(all) == 0 || len(all) != len(ranges) || all[len(all)-1].Until != nil {
		return nil
	}
	return all
}

// maxNumber is the highest number of a file that is used again, so that there are higher ones.
const maxNumber = 1 << 30

// Noted reads the notes of a file of rows; ok is false if it is none that can be used.
func Noted(name string, notes map[string]string) (of [2]string, r Range, ok bool) {
	if notes[script.NoteKind] != string(script.Rows) {
		return of, r, false
	}
	parts := strings.Split(strings.TrimSuffix(name, ".sql"), ".")
	number, err := strconv.Atoi(parts[len(parts)-1])
	if err != nil || number < 0 || number > maxNumber {
		return of, r, false
	}
	r.Number = number
	from, until := notes[script.NoteFrom], notes[script.NoteUntil]
	r.From, r.Until = ParseBound(from), ParseBound(until)
	if (from != "" && r.From == nil) || (until != "" && r.Until == nil) {
		return of, r, false
	}
	return [2]string{notes[script.NoteDatabase], notes[script.NoteObject]}, r, true
}

// Usable returns the ranges of the last dump in order, if they suit a table of so many bytes still, of which each range is to have about size; else nil.
func (k Key) Usable(ranges []Range, bytes, size uint64) []Range {
	all := Chain(ranges)
	if len(all) < 2 || bytes < 2*size || uint64(len(all)) > 8*(bytes/size+1) {
		return nil
	}
	numbers := map[int]bool{}
	for _, r := range all {
		if r.Until != nil && !k.fits(r.Until) || numbers[r.Number] {
			return nil
		}
		numbers[r.Number] = true
	}
	return all
}

// Walk goes along the keys of a table, so many rows at a time, and gives the ranges that it finds, in order. from is what comes after FROM.
func (k Key) Walk(ctx context.Context, s *server.Session, from string, rows uint64, give func(from, until Bound)) error {
	columns := k.Columns(k.Bounded())
	next := func(condition string, skip uint64) ([][]byte, error) {
		return s.Row(ctx, "SELECT "+columns+" FROM "+from+condition+" ORDER BY "+columns+" LIMIT 1 OFFSET "+strconv.FormatUint(skip, 10))
	}
	low, err := next("", 0)
	var begin Bound
	for err == nil {
		var high [][]byte
		if high, err = next(k.Where(begin, nil), rows); err != nil {
			break
		}
		b := k.rounded(low, high)
		if b == nil || slices.Equal(b, begin) { // rows of one bound are as many as a range may have
			break
		}
		give(begin, b)
		begin, low = b, high
	}
	if err != nil && !errors.Is(err, server.ErrNoRow) {
		return err
	}
	give(begin, nil)
	return nil
}
