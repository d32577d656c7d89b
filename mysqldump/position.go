// Package mysqldump knows where a backup of MySQL or MariaDB stands in the server's stream of changes, and says where a dump
// goes to and comes from.
//
// A Position says which changes a backup has. A replica that was restored from it asks its source for all that came
// after, and a restore replays binary logs from there. The place is given by file and offset of a binary log, by GTIDs, or
// by both; beside it stands the server that it was read from. Its text is a label of the archive. A Sink takes the
// files of a dump, a Source has them.
//
// The invariant: a position is never guessed. It has what a server said, and what was not said stays missing. Text that
// could be read in two ways is refused. A comparison that the names do not decide is an error.
//
// The package asks no server, and makes no dump: the packages below it do. Whether a server still has the logs of a
// position, only that server can say.
package mysqldump

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Flavor is a family of servers, which share the form of their GTIDs; empty if it is not known.
type Flavor string

// The flavors.
const (
	MariaDB Flavor = "mariadb"
	MySQL   Flavor = "mysql"
)

const (
	maxName     = 255 // bytes of a file's name, and of a version
	firstOffset = 4   // of the first event of a binary log, after its magic number
)

// A Position is a place in a server's stream of changes: after all that a backup has, before all that it has not. The
// zero value names no place. A caller that reads one from a server calls Check before it relies on it.
type Position struct {
	// File is the name of a binary log, without its folder; empty if the server has no such files, as one of MariaDB
	// that keeps the binary log in InnoDB.
	File string
	// Offset is where in File the next event begins, in bytes; 0 if it is not known.
	Offset uint64
	// GTIDs is what has been executed; empty if the server gives no GTIDs.
	GTIDs GTIDSet

	ServerID   uint32    // 0 if it is not known
	ServerUUID UUID      // zero if the server has none
	Flavor     Flavor    // empty if it is not known
	Version    string    // as the server says it, which proves nothing; empty if it is not known
	Time       time.Time // when it was read, by the server's clock; zero if it is not known
}

// IsZero reports whether the position is the zero value.
func (p Position) IsZero() bool { return p.Equal(Position{}) }

// HasPlace reports whether the position names a place in the stream of changes: a server without a binary log has none.
func (p Position) HasPlace() bool { return p.File != "" || !p.GTIDs.IsZero() }

// Equal reports whether the positions agree in everything, times as instants.
func (p Position) Equal(q Position) bool {
	return p.File == q.File && p.Offset == q.Offset && p.GTIDs.Equal(q.GTIDs) && p.ServerID == q.ServerID &&
		p.ServerUUID == q.ServerUUID && p.Flavor == q.Flavor && p.Version == q.Version && p.Time.Equal(q.Time)
}

// Check returns an error if the position names no place, contradicts itself, or has more than its text may have.
func (p Position) Check() error {
	if err := p.check(); err != nil {
		return fmt.Errorf("check position: %w", err)
	}
	return nil
}

func (p Position) check() error {
	form, year := p.GTIDs.Flavor(), p.Time.UTC().Year()
	switch {
	case !p.HasPlace():
		return errors.New("it names neither a binary log nor GTIDs")
	case p.File == "" && p.Offset != 0:
		return fmt.Errorf("offset %d is of no file", p.Offset)
	case 0 < p.Offset && p.Offset < firstOffset:
		return fmt.Errorf("offset %d is before the first event", p.Offset)
	case p.File == "." || p.File == ".." || len(p.File) > maxName || strings.ContainsAny(p.File, "/\x00"):
		return fmt.Errorf("%q is no name of a file", clip(p.File))
	case len(p.Version) > maxName:
		return fmt.Errorf("the version has %d bytes, more than %d", len(p.Version), maxName)
	case p.Flavor != "" && p.Flavor != MariaDB && p.Flavor != MySQL:
		return fmt.Errorf("%q is no flavor", clip(string(p.Flavor)))
	case p.Flavor != "" && form != "" && form != p.Flavor:
		return fmt.Errorf("the GTIDs are of %s, the server is %s", form, p.Flavor)
	case year < 1 || year > 9999:
		return fmt.Errorf("no year %d", year)
	case len(p.String()) > MaxText:
		return fmt.Errorf("its text has more than %d bytes", MaxText)
	}
	return nil
}

// String returns the position on one line of words: file and offset, then what else is known by its name, as in
//
//	mysql-bin.000123:45678901 gtid=0-1-79569 server-id=1 flavor=mariadb version=10.11.19-MariaDB time=2026-11-29T04:50:44Z
//
// In file and version, bytes other than letters, digits and -._+~ are %XX. What is missing is left out; the zero
// value is the empty string. Positions that are equal have the same text, and Parse gets them back if Check finds no fault.
func (p Position) String() string {
	var words []string
	if p.File != "" || p.Offset != 0 {
		word := escape(p.File)
		if p.Offset != 0 {
			word += ":" + strconv.FormatUint(p.Offset, 10)
		}
		words = append(words, word)
	}
	add := func(name, value string) { words = append(words, name+"="+value) }
	if !p.GTIDs.IsZero() {
		add("gtid", p.GTIDs.String())
	}
	if p.ServerID != 0 {
		add("server-id", strconv.FormatUint(uint64(p.ServerID), 10))
	}
	if !p.ServerUUID.IsZero() {
		add("server-uuid", p.ServerUUID.String())
	}
	if p.Flavor != "" {
		add("flavor", escape(string(p.Flavor)))
	}
	if p.Version != "" {
		add("version", escape(p.Version))
	}
	if !p.Time.IsZero() {
		add("time", p.Time.UTC().Format(time.RFC3339Nano))
	}
	return strings.Join(words, " ")
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._+~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Parse parses what String returned, to the byte, of a position that passes Check.
func Parse(text string) (Position, error) {
	p, err := parse(text)
	if err == nil {
		err = p.check()
	}
	if err == nil && p.String() != text {
		err = fmt.Errorf("%q is not how a position is written", clip(text))
	}
	if err != nil {
		return Position{}, fmt.Errorf("parse position: %w", err)
	}
	return p, nil
}

func parse(text string) (p Position, err error) {
	if len(text) > MaxText {
		return p, fmt.Errorf("%d bytes are more than %d", len(text), MaxText)
	}
	for word := range strings.SplitSeq(text, " ") {
		name, value, named := strings.Cut(word, "=")
		if !named {
			err = p.parseFile(word)
		} else {
			err = p.parseField(name, value)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Position) parseFile(word string) (err error) {
	file, offset, found := strings.Cut(word, ":")
	if found {
		if p.Offset, err = strconv.ParseUint(offset, 10, 64); err != nil {
			return fmt.Errorf("offset %q is no number", clip(offset))
		}
	}
	p.File, err = url.PathUnescape(file)
	return err
}

func (p *Position) parseField(name, value string) (err error) {
	switch name {
	case "gtid":
		p.GTIDs, err = ParseGTIDSet(value)
	case "server-id":
		var id uint64
		id, err = parseNumber(value, 1<<32-1)
		p.ServerID = uint32(id)
	case "server-uuid":
		p.ServerUUID, err = ParseUUID(value)
	case "flavor":
		p.Flavor = Flavor(value)
	case "version":
		p.Version, err = url.PathUnescape(value)
	case "time":
		if p.Time, err = time.Parse(time.RFC3339Nano, value); err != nil {
			err = fmt.Errorf("%q is no time", clip(value))
		}
	default:
		err = fmt.Errorf("%q is no part of a position that is known", clip(name))
	}
	return err
}

// MarshalText returns what String does, or what Check finds.
func (p Position) MarshalText() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

// UnmarshalText parses as Parse does. If that fails, p is as it was.
func (p *Position) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// CompareFiles compares file and offset of positions that one server gave: negative if p is before q. Logs are compared
// by their numbers, so mysql-bin.1000000 is after mysql-bin.999999. The error is of positions that this does not
// order: of different servers or logs, names without a number, or one log and an offset that is not known. A server
// that was told to begin its logs anew (RESET MASTER) counts from 1 again, which nobody sees by the names.
func (p Position) CompareFiles(q Position) (int, error) {
	base, number, ok := splitLog(p.File)
	otherBase, otherNumber, otherOK := splitLog(q.File)
	var fault string
	switch {
	case p.ServerID != 0 && q.ServerID != 0 && p.ServerID != q.ServerID,
		!p.ServerUUID.IsZero() && !q.ServerUUID.IsZero() && p.ServerUUID != q.ServerUUID:
		fault = "they are of different servers"
	case !ok || !otherOK:
		fault = "a file has no number"
	case base != otherBase:
		fault = "they are of different logs"
	case number == otherNumber && (p.Offset == 0 || q.Offset == 0):
		fault = "an offset is missing"
	default:
		return cmp.Or(cmp.Compare(number, otherNumber), cmp.Compare(p.Offset, q.Offset)), nil
	}
	return 0, fmt.Errorf("compare positions %q and %q: %s", clip(p.File), clip(q.File), fault)
}

// splitLog splits mysql-bin.000123, whose number servers print with six digits at least.
func splitLog(file string) (base string, number uint64, ok bool) {
	i := strings.LastIndexByte(file, '.')
	if i <= 0 {
		return "", 0, false
	}
	number, err := strconv.ParseUint(file[i+1:], 10, 31)
	return file[:i], number, err == nil && fmt.Sprintf("%06d", number) == file[i+1:]
}
