package dump

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/ranges"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/sum"
)

// How long INSERTs are, in bytes. Where one ends depends on the keys of its rows alone, so that a change moves no other end;
// only those that reach the maximum depend on what is before.
const (
	meanStatement = 128 << 10
	minStatement  = 32 << 10
	maxStatement  = 1 << 20
	targetPacket  = 16 << 20  // what every server takes that the dump may be loaded into
	flushAt       = 256 << 10 // bytes of memory before they are handed on
)

// rowSettings are what rows need of a session that no other statement does: a row whose id is 0 keeps it, and a date that
// is none stays as it is.
const rowSettings = "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"

// A rowFile writes the rows of a table, or of one range of its keys, as INSERTs of many rows, one row a line.
type rowFile struct {
	file    mysqldump.File
	table   *table
	max     int // bytes of a statement
	buf     []byte
	row     []byte
	begun   int // bytes of the statement that is open; 0: none is
	sum     sum.Sum
	moments uint64 // rows that are left out
	scratch []byte
	written uint64 // bytes handed on
	text    bool   // literals have to say that they are bytes, as the session's collation does not
}

// newRowFile begins a file.
func newRowFile(r *run, name string, t *table, packet int) (*rowFile, error) {
	file, err := r.create(name)
	if err != nil {
		return nil, err
	}
	w := &rowFile{file: file, table: t, max: max(1024, min(maxStatement, packet-1024))}
	s := script.NewWriter(w, "rows of "+t.Database+"."+t.Name, t.Database)
	s.Statement(rowSettings)
	if t.Versioned {
		s.Statement(schema.HistorySetting)
	}
	if w.text = schema.TextBounds(t.Create); w.text {
		s.Statement(schema.OpeningSetting)
	}
	if err := s.Err(); err != nil {
		file.Abort()
		return nil, err
	}
	return w, nil
}

// Write takes what the head of the file has.
func (w *rowFile) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// add writes a row: the texts of the columns that are written.
func (w *rowFile) add(row [][]byte) error {
	if w.table.momentary(row) {
		w.moments++
		return nil
	}
	w.scratch = w.sum.Add(row, w.scratch)
	text := append(w.row[:0], '(')
	for i, value := range row {
		if i > 0 {
			text = append(text, ',')
		}
		from := len(text)
		if text = w.table.literals[i](text, value); w.text && text[from] == '\'' {
			text = slices.Insert(text, from, []byte("_binary")...)
		}
	}
	text = append(text, ')')
	w.row = text
	if w.begun > 0 && w.begun+len(text)+2 > w.max {
		w.end()
	}
	if w.begun == 0 {
		w.buf = append(w.buf, w.table.head...)
		w.begun = len(w.table.head)
	} else {
		w.buf = append(w.buf, ',', '\n')
		w.begun += 2
	}
	w.buf = append(w.buf, text...)
	w.begun += len(text)
	if w.begun >= minStatement && w.cutAfter(row) {
		w.end()
	}
	if len(w.buf) >= flushAt {
		return w.flush()
	}
	return nil
}

// cutAfter reports whether the row is one that ends a statement, which it is with a probability that its length gives.
func (w *rowFile) cutAfter(row [][]byte) bool {
	var hash uint32
	if len(w.table.keyAt) == 0 {
		hash = crc32.ChecksumIEEE(w.row)
	}
	for _, i := range w.table.keyAt {
		hash = crc32.Update(hash, crc32.IEEETable, row[i])
	}
	return uint64(hash*0x9e3779b1)*meanStatement < uint64(len(w.row))<<32
}

func (w *rowFile) end() {
	if w.begun > 0 {
		w.buf = append(w.buf, w.table.tail...)
		w.begun = 0
	}
}

func (w *rowFile) flush() error {
	n, err := w.file.Write(w.buf)
	w.written += uint64(n)
	w.buf = w.buf[:0]
	return err
}

// size returns how many bytes there are so far.
func (w *rowFile) size() uint64 { return w.written + uint64(len(w.buf)) }

// close ends the file, with its notes.
func (w *rowFile) close(from, until ranges.Bound) error {
	w.end()
	if err := w.flush(); err != nil {
		return err
	}
	notes := objectNotes(script.Rows, w.table.Database, w.table.Name)
	notes[script.NoteColumns] = w.table.columnList
	notes[script.NoteRows] = strconv.FormatUint(w.sum.Rows, 10)
	notes[script.NoteSum] = w.sum.String()
	if from != nil {
		notes[script.NoteFrom] = from.String()
	}
	if until != nil {
		notes[script.NoteUntil] = until.String()
	}
	if err := note(w.file, notes); err != nil {
		return err
	}
	return w.file.Close()
}

func objectNotes(kind script.Kind, database, object string) map[string]string {
	return map[string]string{script.NoteKind: string(kind), script.NoteDatabase: database, script.NoteObject: object}
}

func note(file mysqldump.File, notes map[string]string) error {
	for name, value := range notes {
		if value == "" {
			continue
		}
		if err := file.Note(name, value); err != nil {
			return err
		}
	}
	return nil
}

// setColumns finds out what is read and written of a table's rows.
func (t *table) setColumns() error {
	names, values := []string{}, []string{}
	for _, c := range t.Columns {
		if c.Generated {
			continue
		}
		for _, k := range t.Key {
			if k == c.Name {
				t.key, t.keyAt = append(t.key, c), append(t.keyAt, len(t.written))
			}
		}
		t.written, t.literals = append(t.written, c), append(t.literals, c.Literal())
		names = append(names, c.Name)
		values = append(values, c.Value())
	}
	if len(t.key) != len(t.Key) { // a generated column is in it
		t.key, t.keyAt = nil, nil
	}
	list, err := json.Marshal(names)
	if err != nil {
		return fmt.Errorf("name columns of %s: %w", t, err)
	}
	t.columnList = string(list)
	t.values = strings.Join(values, ",")
	head := "INSERT INTO " + server.Quote(t.Name) + " (" + quoteAll(names) + ") VALUES\n"
	t.head, t.tail = []byte(head), []byte(";\n")
	if strings.Contains(head[:len(head)-1], "\n") { // a line of a name could end in a delimiter
		delimiter := "$$"
		for i := 1; strings.Contains(head, delimiter); i++ {
			delimiter = fmt.Sprintf("$%d$", i)
		}
		t.head = []byte("DELIMITER " + delimiter + "\n" + head)
		t.tail = []byte("\n" + delimiter + "\nDELIMITER ;\n")
	}
	return nil
}

func quoteAll(names []string) string {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, server.Quote(n))
	}
	return strings.Join(quoted, ",")
}
