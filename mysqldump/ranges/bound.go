package ranges

import (
	"encoding/hex"
	"encoding/json"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// A Bound is where one range of a table's keys ends and the next begins: literals for the first columns of the key, or for
// all. A key belongs to the range after the bound if it is equal to it or greater, as the server compares them. So every
// key is in exactly one of the ranges between bounds, whatever the bounds are. nil is no bound.
type Bound []string

// String returns the bound as a note has it.
func (b Bound) String() string {
	text, _ := json.Marshal([]string(b)) // strings can be marshaled
	return string(text)
}

// A Key is columns that together tell a table's rows apart.
type Key []value.Column

// Columns returns the names of the first n columns, as statements have them.
func (k Key) Columns(n int) string {
	var names []string
	for _, c := range k[:n] {
		names = append(names, server.Quote(c.Name))
	}
	return strings.Join(names, ",")
}

// literalForm is what the literals of bounds are made of: numbers, and strings in hexadecimal with or without a character set.
var literalForm = regexp.MustCompile(`^(-?[0-9]+(\.[0-9]+)?|'[0-9a-fA-F.: -]*'|(_[a-z0-9]+ )?[xX]'([0-9a-f]{2})*')$`)

// ParseBound parses a note; nil if it is none that this package writes, since it goes into statements as it is.
func ParseBound(text string) Bound {
	var b Bound
	if json.Unmarshal([]byte(text), &b) != nil || len(b) == 0 {
		return nil
	}
	for _, literal := range b {
		if len(literal) > 8<<10 || !literalForm.MatchString(literal) {
			return nil
		}
	}
	return b
}

// literalOf returns the literal for a key's column in a bound, and whether there is one: types whose order by ORDER BY is that of
// comparisons with a literal.
func literalOf(c value.Column, text []byte) (string, bool) {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year":
		return string(text), literalForm.Match(text)
	case "char", "varchar":
		if c.Charset == "" || c.Charset == "binary" {
			return "x'" + hex.EncodeToString(text) + "'", true
		}
		return "_" + c.Charset + " x'" + hex.EncodeToString(text) + "'", len(text) <= 3072
	case "binary", "varbinary":
		return "x'" + hex.EncodeToString(text) + "'", len(text) <= 3072
	case "date":
		_, err := time.Parse("2006-01-02", string(text)) // of others it is not sure how they compare
		return server.Literal(string(text)), err == nil
	case "datetime", "timestamp":
		_, err := time.Parse("2006-01-02 15:04:05.999999", string(text))
		return server.Literal(string(text)), err == nil
	case "uuid", "inet6":
		return "_latin1 x'" + hex.EncodeToString(text) + "'", true // bytes would be taken for those of the value
	}
	return "", false
}

// Bounded returns how many of the key's columns can stand in bounds.
func (k Key) Bounded() int {
	for i, c := range k {
		switch c.DataType {
		case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year", "binary", "varbinary", "date", "datetime", "timestamp", "uuid", "inet6":
		case "char", "varchar":
			if c.Collation == "" && c.Charset != "" && c.Charset != "binary" {
				return i
			}
		default:
			return i
		}
	}
	return len(k)
}

// At returns the bound before the row with these texts of the key's first columns; nil if there can be none.
func (k Key) At(texts [][]byte) Bound {
	var b Bound
	for i, text := range texts {
		literal, ok := literalOf(k[i], text)
		if !ok {
			return nil
		}
		b = append(b, literal)
	}
	return b
}

// fits reports whether a bound is one of this key.
func (k Key) fits(b Bound) bool {
	if len(b) == 0 || len(b) > k.Bounded() {
		return false
	}
	for i, literal := range b {
		c := k[i]
		introducer := ""
		if c.DataType == "char" || c.DataType == "varchar" {
			if c.Charset != "" && c.Charset != "binary" {
				introducer = "_" + c.Charset + " "
			}
		}
		var like string
		switch c.DataType {
		case "char", "varchar", "binary", "varbinary":
			like = introducer + "x'"
		case "uuid", "inet6":
			like = "_latin1 x'"
		case "date", "datetime", "timestamp":
			like = "'"
		default:
			if strings.ContainsAny(literal, "x'") {
				return false
			}
		}
		if !strings.HasPrefix(literal, like) {
			return false
		}
	}
	return true
}

// compare returns the condition that the key's first columns are greater or equal (at least), or less, than a bound.
func (k Key) compare(b Bound, atLeast bool) string {
	strict, last := "<", "<"
	if atLeast {
		strict, last = ">", ">="
	}
	var condition strings.Builder
	for i, literal := range b {
		c := k[i]
		name := server.Quote(c.Name)
		if strings.HasPrefix(literal, "_") && c.Collation != "" {
			literal += " COLLATE " + c.Collation
		}
		if i == len(b)-1 {
			condition.WriteString(name + last + literal)
			break
		}
		condition.WriteString("(" + name + strict + literal + " OR (" + name + "=" + literal + " AND ")
	}
	return condition.String() + strings.Repeat("))", len(b)-1)
}

// Where returns the condition of a range, with its WHERE; empty if it has no bounds.
func (k Key) Where(from, until Bound) string {
	var parts []string
	if from != nil {
		parts = append(parts, k.compare(from, true))
	}
	if until != nil {
		parts = append(parts, k.compare(until, false))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// roundest returns the number in (low, high] that is a multiple of the highest power of two. Such a bound stays put from
// night to night, though rows come and go around it.
func roundest(low, high uint64) uint64 {
	if low >= high {
		return high
	}
	return high &^ (1<<(bits.Len64(low^high)-1) - 1)
}

// integers returns the first column of two keys as numbers in the order of the column, if it is of integers.
func (k Key) integer(text []byte) (n uint64, signed, ok bool) {
	c := k[0]
	if !slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint"}, c.DataType) {
		return 0, false, false
	}
	if strings.Contains(c.Type, "unsigned") {
		n, err := strconv.ParseUint(string(text), 10, 64)
		return n, false, err == nil
	}
	i, err := strconv.ParseInt(string(text), 10, 64)
	return uint64(i) ^ 1<<63, true, err == nil
}

// rounded returns a bound after the key low, and not after high, that is likely to be the same tomorrow: the roundest
// in the upper half of the way, if the first column has integers, else before high itself.
func (k Key) rounded(low, high [][]byte) Bound {
	from, signed, ok := k.integer(low[0])
	to, _, also := k.integer(high[0])
	if !ok || !also || from >= to {
		return k.At(high)
	}
	n := roundest(from+(to-from)/2, to)
	if signed {
		return Bound{strconv.FormatInt(int64(n^1<<63), 10)}
	}
	return Bound{strconv.FormatUint(n, 10)}
}
