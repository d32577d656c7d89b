package dump

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"nightjar/mysqldump/ranges"
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
	key        ranges.Key
	keyAt      []int          // where in written the columns of the key are
	head, tail []byte         // of an INSERT
	former     []ranges.Range // the ranges of the last dump

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

// query returns the statement that reads a range.
func (t *table) query(from, until ranges.Bound, ordered bool) string {
	values := t.values
	if len(t.written) == 0 {
		values = "1"
	}
	ordered = ordered && len(t.key) > 0
	text := "SELECT /*!40001 SQL_NO_CACHE */ " + values + " FROM " + t.from(ordered) + t.key.Where(from, until)
	if ordered {
		text += " ORDER BY " + t.key.Columns(len(t.key))
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

// keyOf returns the texts of the key's first n columns in a row.
func (t *table) keyOf(row [][]byte, n int) [][]byte {
	key := make([][]byte, n)
	for i, at := range t.keyAt[:n] {
		key[i] = row[at]
	}
	return key
}
