package workload

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// What becomes of a dump's rows from the first night to the second, in thousandths.
const (
	rowsDeleted  = 1
	rowsChanged  = 10
	rowsInserted = 1
)

// statementSize is what mysqldump lets an INSERT grow to: its net_buffer_length.
const statementSize = 1<<20 - 2048

// Dump is a shop's database as mysqldump prints it: tables, each with INSERT statements of many
// rows in the order of their keys.
type Dump struct {
	Size int64 // bytes, within a few hundredths
	Seed uint64
}

// DumpStats counts a dump's rows, and which of them are not the first night's.
type DumpStats struct {
	Bytes                            int64
	Rows, Changed, Inserted, Deleted int
}

// table is a kind of rows. In those that count their keys up, new rows come last; in others anywhere.
type table struct {
	name, definition string
	share, width     int // of the dump, in hundredths; bytes of a row on average
	counted          bool
	row              func(b []byte, r *rowMaker) []byte
}

var tables = []table{
	{
		"customers", "  `id` int unsigned NOT NULL AUTO_INCREMENT,\n  `email` varchar(190) NOT NULL,\n  `name` varchar(190) NOT NULL,\n" +
			"  `street` varchar(190) DEFAULT NULL,\n  `zip` char(5) NOT NULL,\n  `balance` decimal(10,2) NOT NULL,\n  `created` datetime NOT NULL,\n" +
			"  `seen` datetime NOT NULL,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `email` (`email`)\n",
		20, 137, true, customer,
	},
	{
		"orders", "  `id` int unsigned NOT NULL AUTO_INCREMENT,\n  `customer` int unsigned NOT NULL,\n  `status` varchar(20) NOT NULL,\n" +
			"  `total` decimal(10,2) NOT NULL,\n  `placed` datetime NOT NULL,\n  `updated` datetime NOT NULL,\n  `note` text,\n" +
			"  PRIMARY KEY (`id`),\n  KEY `customer` (`customer`)\n",
		50, 121, true, order,
	},
	{
		"sessions", "  `token` char(32) NOT NULL,\n  `customer` int unsigned DEFAULT NULL,\n  `data` text NOT NULL,\n  `expires` int unsigned NOT NULL,\n" +
			"  PRIMARY KEY (`token`)\n",
		30, 210, false, session,
	},
}

func customer(b []byte, r *rowMaker) []byte {
	given, family := r.word(), r.word()
	b = strconv.AppendUint(b, r.slot+1, 10)
	b = fmt.Appendf(b, ",'%s.%s%d@%s.example','%s %s'", given, family, r.slot, r.word(), given, family)
	if r.lasting.IntN(8) == 0 {
		b = append(b, ",NULL"...)
	} else {
		b = fmt.Appendf(b, ",'%s %s %d'", r.word(), r.word(), r.lasting.IntN(200))
	}
	b = fmt.Appendf(b, ",'%05d',%d.%02d", r.lasting.IntN(100_000), r.changing.IntN(1000), r.changing.IntN(100))
	b = r.appendTime(b, r.lasting)
	return r.appendTime(b, r.changing)
}

func order(b []byte, r *rowMaker) []byte {
	states := [...]string{"new", "paid", "packed", "shipped", "delivered", "returned"}
	b = strconv.AppendUint(b, r.slot+1, 10)
	b = fmt.Appendf(b, ",%d,'%s',%d.%02d", 1+r.lasting.IntN(400_000), states[r.changing.IntN(len(states))], r.changing.IntN(1000), r.changing.IntN(100))
	b = r.appendTime(b, r.lasting)
	b = r.appendTime(b, r.changing)
	if r.lasting.IntN(3) == 0 {
		return append(b, ",NULL"...)
	}
	b = append(b, ",'"...)
	for range 3 + r.lasting.IntN(12) {
		b = append(append(b, r.word()...), ' ')
	}
	return append(b, `\r\n'`...)
}

func session(b []byte, r *rowMaker) []byte {
	b = fmt.Appendf(b, "'%016x%016x',%d", r.key, r.lasting.Uint64(), 1+r.lasting.IntN(400_000))
	b = fmt.Appendf(b, `,'a:3:{s:4:\"cart\";a:2:{i:0;i:%d;i:1;i:%d;}s:4:\"csrf\";s:32:\"%016x%016x\";s:4:\"last\";s:40:\"/%s/%s`,
		r.changing.IntN(90_000), r.changing.IntN(90_000), r.changing.Uint64(), r.changing.Uint64(), r.word(), r.word())
	return fmt.Appendf(b, `?from=%s\";}',%d`, r.word(), firstNight.Unix()+r.changing.Int64N(7*24*3600))
}

// rowMaker draws the values of one row after another: those that last from the row alone, those that
// change from its version too.
type rowMaker struct {
	words             *vocabulary
	slot, key         uint64
	lasting, changing *rand.Rand
	pcg               [2]*rand.PCG
}

func newRowMaker(words *vocabulary) *rowMaker {
	r := &rowMaker{words: words, pcg: [2]*rand.PCG{{}, {}}}
	r.lasting, r.changing = rand.New(r.pcg[0]), rand.New(r.pcg[1])
	return r
}

func (r *rowMaker) begin(seed, slot, key, version uint64) {
	r.slot, r.key = slot, key
	r.pcg[0].Seed(seed, key)
	r.pcg[1].Seed(seed+1+version, key)
}

func (r *rowMaker) word() []byte {
	w := r.words.slots[r.lasting.Uint32()>>16]
	return w[:len(w)-1] // without the space
}

func (r *rowMaker) appendTime(b []byte, from *rand.Rand) []byte {
	t := firstNight.Add(-time.Duration(from.IntN(3*365*24*3600)) * time.Second)
	return t.AppendFormat(b, ",'2006-01-02 15:04:05'")
}

// First writes the first night's dump and makes its folder.
func (d Dump) First(name string) (DumpStats, error) { return d.write(name, firstNight, 0) }

// Second writes the second night's over it: one row in a hundred is changed, and one in a
// thousand each inserted and deleted.
func (d Dump) Second(name string) (DumpStats, error) { return d.write(name, secondNight, 1) }

func (d Dump) write(name string, at time.Time, version uint64) (s DumpStats, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return s, fmt.Errorf("write dump: %w", err)
	}
	f, err := os.Create(name)
	if err != nil {
		return s, fmt.Errorf("write dump: %w", err)
	}
	defer f.Close()
	w := &dumpWriter{Writer: bufio.NewWriterSize(f, pieceSize), seed: d.Seed, version: version, rows: newRowMaker(newVocabulary(d.Seed))}
	fmt.Fprint(w, "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: shop\n"+
		"/*!40101 SET NAMES utf8mb4 */;\n/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;\n")
	for i, t := range tables {
		w.table(uint64(i), t, uint64(d.Size)*uint64(t.share)/100/uint64(t.width))
	}
	fmt.Fprintf(w, "\n-- Dump completed on %s\n", at.Format(time.DateTime))
	if err := w.Flush(); err != nil { // of this and all writes before
		return s, fmt.Errorf("write dump: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return s, fmt.Errorf("write dump: %w", err)
	}
	if err := f.Close(); err != nil {
		return s, fmt.Errorf("write dump: %w", err)
	}
	w.stats.Bytes = st.Size()
	return w.stats, os.Chtimes(name, at, at)
}

type dumpWriter struct {
	*bufio.Writer
	seed, version uint64
	rows          *rowMaker
	statement     []byte
	stats         DumpStats
}

func (w *dumpWriter) table(number uint64, t table, rows uint64) {
	fmt.Fprintf(w, "\nDROP TABLE IF EXISTS `%s`;\nCREATE TABLE `%[1]s` (\n%s) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n\n"+
		"LOCK TABLES `%[1]s` WRITE;\n/*!40000 ALTER TABLE `%[1]s` DISABLE KEYS */;\n", t.name, t.definition)
	seed := w.seed<<8 | number<<4
	step := ^uint64(0) / (2*rows + 2) // between keys, so that each row has room for one behind it
	fates := rand.New(generator(w.seed, forDump, number))
	for slot := range rows {
		fate, follower := fates.IntN(1000), fates.IntN(1000) < rowsInserted
		if w.version == 0 {
			fate, follower = 1000, false
		}
		switch {
		case fate < rowsDeleted:
			w.stats.Deleted++
		case fate < rowsDeleted+rowsChanged:
			w.stats.Changed++
			w.row(t, seed, slot, 2*slot*step, w.version)
		default:
			w.row(t, seed, slot, 2*slot*step, 0)
		}
		if follower && !t.counted {
			w.stats.Inserted++
			w.row(t, seed, slot, (2*slot+1)*step, w.version)
		}
	}
	if w.version > 0 && t.counted {
		for n := range rows * rowsInserted / 1000 {
			w.stats.Inserted++
			w.row(t, seed, rows+n, 2*rows*step+n+1, w.version)
		}
	}
	w.end()
	fmt.Fprintf(w, "/*!40000 ALTER TABLE `%s` ENABLE KEYS */;\nUNLOCK TABLES;\n", t.name)
}

// row adds a row to the open statement, or to a new one if that is full.
func (w *dumpWriter) row(t table, seed, slot, key, version uint64) {
	if len(w.statement) > statementSize {
		w.end()
	}
	if len(w.statement) == 0 {
		w.statement = fmt.Appendf(w.statement, "INSERT INTO `%s` VALUES ", t.name)
	} else {
		w.statement = append(w.statement, ',')
	}
	w.rows.begin(seed, slot, key, version)
	w.statement = append(t.row(append(w.statement, '('), w.rows), ')')
	w.stats.Rows++
}

func (w *dumpWriter) end() {
	if len(w.statement) > 0 {
		w.Write(append(w.statement, ";\n"...)) // Flush will tell
		w.statement = w.statement[:0]
	}
}
