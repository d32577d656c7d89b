package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"
)

// counters is how many rows the table has that writers update.
const counters = 10_000

// A table is generated row by row, until its share of the size is reached.
type table struct {
	name    string
	columns string
	engine  string
	share   int // percent of the size
	row     func(w *bufio.Writer, r *rand.Rand, n int)
	change  string // what a night changes in 1% of the rows; empty: nothing
}

// aPercent chooses rows by their key.
const aPercent = "CRC32(CONCAT('night', %s)) %% 100 = 0"

// Rows are of about 150 bytes in the mean, without the pictures. A night changes what an application does: an amount, a time, a state;
// no picture.
var tables = []table{
	{"orders", "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, code VARCHAR(24) NOT NULL, status VARCHAR(12) NOT NULL, " +
		"amount DECIMAL(12,2) NOT NULL, made DATETIME NOT NULL, note VARCHAR(255), KEY customer (customer), KEY code (code)", "InnoDB", 50, orderRow,
		"amount = amount + 1, status = 'back', made = '2026-11-28 12:34:56'"},
	{"customers", "id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120) NOT NULL, address VARCHAR(200), " +
		"weight DOUBLE, KEY email (email)", "InnoDB", 20, customerRow, "weight = RAND(), address = CONCAT('moved to ', address)"},
	{"items", "orderid INT NOT NULL, line SMALLINT NOT NULL, article VARCHAR(20) NOT NULL, pieces INT NOT NULL, price DECIMAL(10,2), title VARCHAR(100), " +
		"PRIMARY KEY (orderid, line), KEY article (article)", "InnoDB", 20, itemRow, "pieces = pieces + 1, price = price / 2"},
	{"events", "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, at DATETIME NOT NULL, line TEXT NOT NULL, KEY at (at)", "MyISAM", 5, eventRow,
		"at = '2026-11-28 12:34:56'"},
	{"pictures", "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, content MEDIUMBLOB NOT NULL", "InnoDB", 5, pictureRow, ""},
}

// generate fills the database bench: what is in it follows from its size alone.
func (b *bench) generate(ctx context.Context) error {
	start := time.Now()
	if err := b.source.exec(ctx, "CREATE DATABASE bench CHARACTER SET utf8mb4; USE bench; "+
		"CREATE TABLE bench.counters (id INT PRIMARY KEY, n INT NOT NULL, at DATETIME NOT NULL) ENGINE=InnoDB"); err != nil {
		return err
	}
	var rows int
	for i, t := range tables {
		n, size, err := b.fill(ctx, t, i)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		rows, b.rows = rows+n, b.rows+size
	}
	if err := b.load(ctx, "counters", func(w *bufio.Writer) error {
		for i := range counters {
			fmt.Fprintf(w, "%d\t0\t2026-01-01 00:00:00\n", i+1)
		}
		return nil
	}); err != nil {
		return err
	}
	for i := range 20 { // small ones, as every application has
		if err := b.source.exec(ctx, fmt.Sprintf("CREATE TABLE bench.small%02d (id INT PRIMARY KEY, name VARCHAR(40)) ENGINE=InnoDB; "+
			"INSERT INTO bench.small%02d VALUES (1,'one'),(2,'two'),(3,'three')", i, i)); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "%s: %d rows of %d bytes in %d tables, made in %.0f s; %d threads, %d writes a second, buffer pool of %d MB\n", b.server, rows, b.rows,
		len(tables)+21, time.Since(start).Seconds(), b.threads, b.writes, b.pool)
	return nil
}

// fill makes a table and loads its rows.
func (b *bench) fill(ctx context.Context, t table, seed int) (rows int, size int64, err error) {
	if err := b.source.exec(ctx, fmt.Sprintf("CREATE TABLE bench.%s (%s) ENGINE=%s", t.name, t.columns, t.engine)); err != nil {
		return 0, 0, err
	}
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	limit := int64(b.size) * 1e6 * int64(t.share) / 100
	err = b.load(ctx, t.name, func(w *bufio.Writer) error {
		counted := &counter{w: w}
		inner := bufio.NewWriterSize(counted, 64<<10)
		for counted.n+int64(inner.Buffered()) < limit {
			t.row(inner, r, rows)
			rows++
		}
		err := inner.Flush()
		size = counted.n
		return err
	})
	return rows, size, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// load has the server load what rows writes, without writing it to the binary log.
func (b *bench) load(ctx context.Context, name string, rows func(*bufio.Writer) error) error {
	r, w := io.Pipe()
	mysql.RegisterReaderHandler(name, func() io.Reader { return r })
	defer mysql.DeregisterReaderHandler(name)
	go func() {
		buffered := bufio.NewWriterSize(w, 256<<10)
		err := rows(buffered)
		if err == nil {
			err = buffered.Flush()
		}
		w.CloseWithError(err)
	}()
	defer r.Close()
	return b.source.exec(ctx, "SET sql_log_bin=0; LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE bench."+name+" CHARACTER SET binary; SET sql_log_bin=1")
}

var words = []string{"delivery", "invoice", "the", "of", "customer", "paid", "late", "returned", "by", "express", "store", "and", "order", "box", "green", "large",
	"with", "discount", "warehouse", "north", "south", "asked", "for", "refund", "sent", "again", "address", "unknown", "call", "back", "Monday", "parcel"}

func text(w *bufio.Writer, r *rand.Rand, count int) {
	for i := range count {
		if i > 0 {
			_ = w.WriteByte(' ')
		}
		_, _ = w.WriteString(words[r.IntN(len(words))])
	}
}

func orderRow(w *bufio.Writer, r *rand.Rand, n int) {
	fmt.Fprintf(w, "%d\t%d\t%08X-%d\t%s\t%d.%02d\t2026-%02d-%02d %02d:%02d:%02d\t", n*2+1, r.IntN(1_000_000), r.Uint32(), n%97, []string{"open", "paid", "sent", "closed"}[r.IntN(4)],
		r.IntN(5000), r.IntN(100), r.IntN(12)+1, r.IntN(28)+1, r.IntN(24), r.IntN(60), r.IntN(60))
	text(w, r, 12+r.IntN(12))
	_ = w.WriteByte('\n')
}

func customerRow(w *bufio.Writer, r *rand.Rand, n int) {
	fmt.Fprintf(w, "%08x-%04x-4%03x-8%03x-%012x\t", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
	text(w, r, 2)
	fmt.Fprintf(w, "\tuser%d@example%d.org\t%d ", n, r.IntN(500), r.IntN(300))
	text(w, r, 8)
	fmt.Fprintf(w, "\t%v\n", r.Float64())
}

func itemRow(w *bufio.Writer, r *rand.Rand, n int) {
	fmt.Fprintf(w, "%d\t%d\tART-%06d\t%d\t%d.%02d\t", n/3*7-1_000_000, n%3, r.IntN(50_000), r.IntN(20), r.IntN(500), r.IntN(100))
	text(w, r, 8+r.IntN(8))
	_ = w.WriteByte('\n')
}

func eventRow(w *bufio.Writer, r *rand.Rand, n int) {
	fmt.Fprintf(w, "%d\t2026-%02d-%02d %02d:%02d:%02d\t", n+1, r.IntN(12)+1, r.IntN(28)+1, r.IntN(24), r.IntN(60), r.IntN(60))
	text(w, r, 12+r.IntN(8))
	_ = w.WriteByte('\n')
}

// pictureRow is what does not compress, without bytes that the text format escapes.
func pictureRow(w *bufio.Writer, r *rand.Rand, n int) {
	fmt.Fprintf(w, "%d\t", n+1)
	for range 2000 + r.IntN(20_000) {
		c := byte(r.Uint32())
		if c == '\t' || c == '\n' || c == '\\' || c == 0 {
			c = 'x'
		}
		_ = w.WriteByte(c)
	}
	_ = w.WriteByte('\n')
}
