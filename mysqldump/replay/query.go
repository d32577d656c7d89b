package replay

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"nightjar/internal/wire"
	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// query runs a statement as it ran at its server.
func (a *applier) query(e *binlog.Event, summed bool) error {
	if err := a.flush(); err != nil {
		return err
	}
	s, err := e.Statement()
	if err != nil {
		return err
	}
	switch {
	case strings.EqualFold(strings.TrimSpace(s.Text), "BEGIN"):
		return a.session.Exec(a.ctx, begin)
	case frames(s.Text):
		return a.session.Exec(a.ctx, s.Text)
	}
	with, err := settingsOf(e)
	if err != nil {
		return err
	}
	const suppressUse = 0x08
	if s.Database != "" && s.Database != a.database && e.Flags&suppressUse == 0 {
		if err := a.use(s.Database); err != nil {
			return err
		}
	}
	if err := a.settle(e, s, with); err != nil {
		return err
	}
	text := s.Text
	if a.o.Inside && (ddl.Begins([]byte(text), "CREATE") || ddl.Begins([]byte(text), "ALTER")) {
		text = string(ddl.Inside([]byte(text)))
	}
	err = a.session.Exec(a.ctx, text)
	if upper := strings.ToUpper(s.Text); strings.Contains(upper, "DATABASE") || strings.Contains(upper, "SCHEMA") {
		a.database = "" // the default one may be dropped, and made again
	}
	switch number := server.Number(err); {
	case number == unknownTable && s.Error == 0 && a.flavor == mysqldump.MariaDB && dropsSeveral(s.Text):
		return nil // the others were dropped, as at its server, whose log does not have the error
	case s.Error == 0 || err != nil && number == 0:
		return err
	case number != s.Error:
		return fmt.Errorf("error %d is expected of %.200q: %w: %v", s.Error, s.Text, errUnlike, err)
	}
	return nil
}

// begin begins a transaction. BEGIN would begin a block of statements in sql_mode=ORACLE.
const begin = "START TRANSACTION"

// frames reports whether a statement is what stands around a transaction.
func frames(text string) bool {
	return slices.ContainsFunc([]string{"BEGIN", "COMMIT", "ROLLBACK"}, func(word string) bool { return strings.EqualFold(strings.TrimSpace(text), word) })
}

const unknownTable = 1051

// dropsSeveral reports whether a statement is a DROP TABLE of more tables than one.
func dropsSeveral(text string) bool {
	words := strings.Fields(text)
	return len(words) > 2 && strings.EqualFold(words[0], "DROP") && strings.EqualFold(words[1], "TABLE") && strings.Contains(text, ",")
}

// named has the session read a name, which logs have in UTF-8, whatever the statement is in.
func (a *applier) named(name string) error {
	if !strings.ContainsFunc(name, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return nil
	}
	delete(a.set, clientCharset)
	delete(a.set, "collation_connection")
	return a.session.Exec(a.ctx, "SET NAMES utf8mb4")
}

// use makes a database the default one, which changes what goes with it.
func (a *applier) use(database string) error {
	if err := a.named(database); err != nil {
		return err
	}
	if err := a.session.Exec(a.ctx, "USE "+server.Quote(database)); err != nil {
		return err
	}
	a.database = database
	delete(a.set, "collation_database")
	return nil
}

const clientCharset = "character_set_client"

// settle gives the session what the statement's had.
func (a *applier) settle(e *binlog.Event, s binlog.Statement, with settings) error {
	all := append([]setting{{"pseudo_thread_id", strconv.FormatUint(uint64(s.Thread), 10)}}, with.all...)
	if a.flavor == mysqldump.MariaDB {
		all = append(all, with.maria...)
	}
	if len(with.pairs) > 0 {
		text, err := a.pairs(with.pairs)
		if err != nil {
			return err
		}
		all = append(all, setting{"character_set_collations", text})
	}
	// What a log leaves out is as servers have it at first.
	for name, first := range map[string]string{"auto_increment_increment": "1", "auto_increment_offset": "1", "lc_time_names": "0", "collation_database": "DEFAULT", "character_set_collations": "''"} {
		if a.set[name] != "" && !slices.ContainsFunc(all, func(x setting) bool { return x.name == name }) {
			all = append(all, setting{name, first})
		}
	}
	changed := []string{fmt.Sprintf("SESSION timestamp=%d.%06d", e.Time.Unix(), with.micro)} // BINLOG changes it
	for _, x := range all {
		if a.set[x.name] == x.value {
			continue
		}
		value := x.value
		if x.name == clientCharset { // newer collations of MariaDB have numbers that no character set has
			id, err := strconv.ParseUint(x.value, 10, 32)
			if err != nil {
				return err
			}
			of, err := a.collationOf(uint32(id))
			if err != nil {
				return err
			}
			value = of.charset
		}
		changed = append(changed, "SESSION "+x.name+"="+value)
		a.set[x.name] = x.value
	}
	return a.session.Exec(a.ctx, "SET "+strings.Join(changed, ", "))
}

// A collation is one that a server has.
type collation struct{ name, charset string }

// collationOf returns the collation of a number.
func (a *applier) collationOf(id uint32) (collation, error) {
	if a.collations == nil {
		a.collations = map[uint32]collation{}
		table := "COLLATIONS"
		name := "COLLATION_NAME"
		if a.flavor == mysqldump.MariaDB { // whose newer ones are of several character sets, and have a number for each
			table, name = "COLLATION_CHARACTER_SET_APPLICABILITY", "FULL_COLLATION_NAME"
		}
		err := a.session.Query(a.ctx, "SELECT ID, "+name+", CHARACTER_SET_NAME FROM information_schema."+table, func(row [][]byte) error {
			id, err := strconv.ParseUint(string(row[0]), 10, 32)
			a.collations[uint32(id)] = collation{string(row[1]), string(row[2])}
			return err
		})
		if err != nil {
			return collation{}, fmt.Errorf("ask for collations: %w", err)
		}
	}
	c, ok := a.collations[id]
	if !ok {
		return c, fmt.Errorf("the server has no collation of number %d", id)
	}
	return c, nil
}

// pairs returns MariaDB's character_set_collations as its variable is written.
func (a *applier) pairs(pairs [][2]uint16) (string, error) {
	var all []string
	for _, p := range pairs {
		of, err := a.collationOf(uint32(p[0]))
		if err != nil {
			return "", err
		}
		to, err := a.collationOf(uint32(p[1]))
		if err != nil {
			return "", err
		}
		all = append(all, of.charset+"="+to.name)
	}
	return server.Literal(strings.Join(all, ",")), nil
}

// variable sets what the next statement reads.
func (a *applier) variable(e *binlog.Event, summed bool) error {
	body := e.Raw[headerBytes:]
	if summed {
		body = body[:len(body)-checksumBytes]
	}
	r := wire.NewReader(body)
	var text string
	var err error
	switch e.Type {
	case binlog.IntVar:
		const lastInsertID, insertID = 1, 2
		kind, value := r.Byte(), r.Uint64()
		switch kind {
		case lastInsertID:
			text = fmt.Sprintf("SET LAST_INSERT_ID=%d", value)
		case insertID:
			text = fmt.Sprintf("SET INSERT_ID=%d", value)
		default:
			err = fmt.Errorf("it sets a number that nobody knows: %d", kind)
		}
	case binlog.Rand:
		text = fmt.Sprintf("SET RAND_SEED1=%d, RAND_SEED2=%d", r.Uint64(), r.Uint64())
	case binlog.UserVar:
		text, err = a.userVariable(&r)
	}
	if err = errors.Join(r.Err(), err); err != nil {
		return fmt.Errorf("read %v: %w", e.Type, err)
	}
	return a.session.Exec(a.ctx, text)
}

// userVariable returns the statement that sets a user's variable. Its format is that of the servers' User_var event.
func (a *applier) userVariable(r *wire.Reader[[]byte]) (string, error) {
	const text, float, integer, decimal = 0, 1, 2, 4
	const unsigned = 1
	name := "@" + server.Quote(string(r.Bytes(int(r.Uint32()))))
	if err := a.named(name); err != nil {
		return "", err
	}
	if r.Byte() != 0 {
		return "SET " + name + "=NULL", r.Err()
	}
	kind, number := r.Byte(), r.Uint32()
	value := r.Bytes(int(r.Uint32()))
	flags := byte(0)
	if r.Left() > 0 {
		flags = r.Byte()
	}
	if err := r.Err(); err != nil {
		return "", err
	}
	switch {
	case kind == text:
		of, err := a.collationOf(number)
		return "SET " + name + "=_" + of.charset + " X'" + hex.EncodeToString(value) + "' COLLATE " + server.Quote(of.name), err
	case kind == float && len(value) == 8:
		return "SET " + name + "=" + strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(value)), 'e', -1, 64), nil
	case kind == integer && len(value) == 8 && flags&unsigned != 0:
		return "SET " + name + "=" + strconv.FormatUint(binary.LittleEndian.Uint64(value), 10), nil
	case kind == integer && len(value) == 8:
		return "SET " + name + "=" + strconv.FormatInt(int64(binary.LittleEndian.Uint64(value)), 10), nil
	case kind == decimal:
		d, err := parseDecimal(value)
		return "SET " + name + "=" + d, err
	}
	return "", fmt.Errorf("variable %s is of a kind that nobody knows: %d", name, kind)
}

// parseDecimal returns a decimal as text: a byte with its digits, one with those after the point, then groups of 9 digits of
// 4 bytes, and of fewer at both ends, the first bit turned over, and all of them if it is negative.
func parseDecimal(b []byte) (string, error) {
	const group = 9
	sizes := [group + 1]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}
	if len(b) < 3 {
		return "", wire.ErrTruncated
	}
	after := int(b[1])
	before := int(b[0]) - after
	b = slices.Clone(b[2:])
	if before < 0 || len(b) != before/group*4+sizes[before%group]+after/group*4+sizes[after%group] {
		return "", errors.New("a decimal of another size than its digits need")
	}
	negative := b[0]&0x80 == 0
	b[0] ^= 0x80
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	var text strings.Builder
	if negative {
		text.WriteByte('-')
	}
	digits := func(n int) {
		value := uint64(0)
		for _, c := range b[:sizes[n]] {
			value = value<<8 | uint64(c)
		}
		b = b[sizes[n]:]
		fmt.Fprintf(&text, "%0*d", n, value)
	}
	if n := before % group; n > 0 {
		digits(n)
	}
	for range before / group {
		digits(group)
	}
	if before == 0 {
		text.WriteByte('0')
	}
	if after > 0 {
		text.WriteByte('.')
	}
	for range after / group {
		digits(group)
	}
	if n := after % group; n > 0 {
		digits(n)
	}
	return text.String(), nil
}
