package dump

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/sum"
	"nightjar/mysqldump/value"
)

// A table is one that is dumped, and how far that is.
type table struct {
	*schema.Table
	written    []value.Column                 // whose values are read and written
	literals   []func(to, text []byte) []byte // of these
	values     string                         // their expressions
	columnList string                         // their names, as the note has them
	key        []int                          // where in written the columns of the key are
	head, tail []byte                         // of an INSERT
	former     []former                       // the ranges of the last dump

	mu      sync.Mutex
	sum     sum.Sum
	bytes   uint64   // of its files
	files   []string // of its rows
	next    int      // the number of its next file
	left    int      // tasks that are not done and proven
	split   bool     // rows of several ranges are to be counted
	counted uint64   // rows, by the server
	moments uint64   // rows of history that are left out: see momentary
	broken  error    // why it is left out
	done    bool
}

// String returns the name for people.
func (t *table) String() string { return t.Database + "." + t.Name }

// covered reports whether the table's rows are in no snapshot, so that only the lock covers them.
func (t *table) covered() bool { return !t.Transactional && !t.NoRows }

// from returns what comes after FROM, with the history of a system-versioned table. In order of the key if that is asked for.
func (t *table) from(ordered bool) string {
	text := t.From()
	if ordered && t.KeyName != "" {
		text += " FORCE INDEX (" + server.Quote(t.KeyName) + ")"
	}
	return text
}

// keyColumns returns the first n columns of the key.
func (t *table) keyColumns(n int) string {
	var names []string
	for _, i := range t.key[:n] {
		names = append(names, t.written[i].Name)
	}
	return quoteAll(names)
}

// query returns the statement that reads a range.
func (t *table) query(from, until bound, ordered bool) string {
	values := t.values
	if len(t.written) == 0 {
		values = "1"
	}
	ordered = ordered && len(t.key) > 0
	text := "SELECT /*!40001 SQL_NO_CACHE */ " + values + " FROM " + t.from(ordered) + t.where(from, until)
	if ordered {
		text += " ORDER BY " + t.keyColumns(len(t.key))
	}
	return text
}

// number returns the number of a new file.
func (t *table) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return t.next - 1
}

// take adds what a file of rows has.
func (t *table) take(name string, w *rowFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Merge(w.sum)
	t.moments += w.moments
	t.bytes += w.written
	t.files = append(t.files, name)
}

// reset forgets what was read.
func (t *table) reset() {
	t.sum, t.moments, t.bytes, t.files, t.next, t.broken = sum.Sum{}, 0, 0, nil, 0, nil
}

// expect adds tasks that are to be done before the table is.
func (t *table) expect(tasks int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left += tasks
}

// proven ends a task of the table, and reports whether it was the last one.
func (t *table) proven() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left--
	return t.left == 0 && !t.done
}

// count compares the rows of all ranges with the number that the server counted in the same snapshot.
func (t *table) count() error {
	if t.split && t.counted != t.sum.Rows+t.moments {
		return fmt.Errorf("count rows of %s: its ranges have %d, the table has %d", t, t.sum.Rows+t.moments, t.counted)
	}
	return nil
}

// momentary reports whether a row of history ended in the moment in which it began, as one does that a statement both makes and
// changes. It was never seen by anybody, and no server takes it back.
func (t *table) momentary(row [][]byte) bool {
	if !t.Versioned {
		return false
	}
	var begin, end []byte
	for i, c := range t.written {
		switch c.Period {
		case "start":
			begin = row[i]
		case "end":
			end = row[i]
		}
	}
	return bytes.Compare(begin, end) >= 0
}

// notes returns the notes of the definition's file.
func (t *table) notes() map[string]string {
	notes := objectNotes(script.Tables, t.Database, t.Name)
	notes[script.NoteColumns] = t.columnList
	notes[script.NoteParts] = strconv.Itoa(len(t.files))
	if !t.NoRows {
		notes[script.NoteRows] = strconv.FormatUint(t.sum.Rows, 10)
		notes[script.NoteSum] = t.sum.String()
	}
	return notes
}

// A former is a range of the last dump.
type former struct {
	from, until bound
	number      int
}

// chain puts ranges in the order of the keys, if they are all, from the beginning to the end; else it returns nil.
func chain(ranges []former) []former {
	byStart := map[string]former{}
	for _, r := range ranges {
		byStart[r.from.String()] = r
	}
	if len(byStart) != len(ranges) {
		return nil
	}
	var all []former
	for at := bound(nil).String(); len(all) < len(ranges); {
		r, ok := byStart[at]
		if !ok {
			return nil
		}
		all = append(all, r)
		if r.until == nil {
			break
		}
		at = r.until.String()
	}
	if len(all) == 0 || len(all) != len(ranges) || all[len(all)-1].until != nil {
		return nil
	}
	return all
}

// maxNumber is the highest number of a file that is used again, so that there are higher ones.
const maxNumber = 1 << 30

// formerRange reads the notes of a file of rows; ok is false if it is none that can be used.
func formerRange(name string, notes map[string]string) (of [2]string, r former, ok bool) {
	if notes[script.NoteKind] != string(script.Rows) {
		return of, r, false
	}
	parts := strings.Split(strings.TrimSuffix(name, ".sql"), ".")
	number, err := strconv.Atoi(parts[len(parts)-1])
	if err != nil || number < 0 || number > maxNumber {
		return of, r, false
	}
	r.number = number
	from, until := notes[script.NoteFrom], notes[script.NoteUntil]
	r.from, r.until = parseBound(from), parseBound(until)
	if (from != "" && r.from == nil) || (until != "" && r.until == nil) {
		return of, r, false
	}
	return [2]string{notes[script.NoteDatabase], notes[script.NoteObject]}, r, true
}

// usable returns the ranges of the last dump, if they suit the table still.
func (t *table) usable(ranges []former, size uint64) []former {
	all := chain(ranges)
	if len(all) < 2 || !t.Transactional || t.Bytes < 2*size || uint64(len(all)) > 8*(t.Bytes/size+1) {
		return nil
	}
	numbers := map[int]bool{}
	for _, f := range all {
		if f.until != nil && !t.fits(f.until) || numbers[f.number] {
			return nil
		}
		numbers[f.number] = true
	}
	return all
}

// keyOf returns the texts of the key's first n columns in a row, to be kept.
func keyOf(row [][]byte, n int) [][]byte {
	key := make([][]byte, n)
	for i := range n {
		key[i] = append([]byte{}, row[i]...)
	}
	return key
}
