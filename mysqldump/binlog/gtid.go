package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"nightjar/internal/wire"
	"nightjar/mysqldump"
)

// A GTID names a transaction, as the event before it says.
type GTID struct {
	Flavor mysqldump.Flavor

	Source mysqldump.UUID // of MySQL; zero of a transaction that has no GTID
	Tag    string         // of MySQL; in lower case, empty for none

	Domain, Server uint32 // of MariaDB

	Number uint64 // 0 of a transaction that has no GTID

	// Standalone says that one statement follows that is a transaction of its own, as DDL is. Only MariaDB says it.
	Standalone bool
	DDL        bool      // MariaDB says that the transaction changes definitions
	Committed  time.Time // when the server committed it, in microseconds; zero if it does not say so: only MySQL since 8.0 does
}

// IsZero reports whether the transaction has no GTID.
func (g GTID) IsZero() bool { return g.Number == 0 }

// String returns the GTID as servers print it; "" if there is none.
func (g GTID) String() string {
	switch {
	case g.IsZero():
		return ""
	case g.Flavor == mysqldump.MariaDB:
		return fmt.Sprintf("%d-%d-%d", g.Domain, g.Server, g.Number)
	case g.Tag != "":
		return fmt.Sprintf("%v:%s:%d", g.Source, g.Tag, g.Number)
	}
	return fmt.Sprintf("%v:%d", g.Source, g.Number)
}

// GTID parses the event that begins a transaction: MariaDBGTID, MySQLGTID, AnonymousGTID or TaggedGTID.
func (e *Event) GTID() (g GTID, err error) {
	body := e.Body()
	switch e.Type {
	case MariaDBGTID:
		g, err = parseMariaDB(body)
		g.Server = e.ServerID
	case MySQLGTID, AnonymousGTID:
		g, err = parseMySQL(body, e.Type == AnonymousGTID)
	case TaggedGTID:
		g, err = parseTagged(body)
	default:
		err = errors.New("it has no GTID")
	}
	if err != nil {
		return GTID{}, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return g, nil
}

// The flags of MariaDB's GTID event.
const (
	mariaStandalone = 0x01
	mariaDDL        = 0x20
)

func parseMariaDB(body []byte) (g GTID, err error) {
	r := wire.NewReader(body)
	g = GTID{Flavor: mysqldump.MariaDB, Number: r.Uint64(), Domain: r.Uint32()}
	flags := r.Byte()
	g.Standalone, g.DDL = flags&mariaStandalone != 0, flags&mariaDDL != 0
	if err = r.Err(); err == nil && g.Number == 0 {
		err = errors.New("its number is 0")
	}
	return g, err
}

// parseMySQL parses flags, source, number; then, behind a 2, two logical times, and since 8.0 the time of the commit.
func parseMySQL(body []byte, anonymous bool) (g GTID, err error) {
	const logical = 2
	r := wire.NewReader(body)
	g.Flavor = mysqldump.MySQL
	r.Byte()
	r.Into(g.Source[:])
	g.Number = r.Uint64()
	if err = r.Err(); err != nil {
		return g, err
	}
	if r.Left() >= 1+16+7 && r.Byte() == logical {
		r.Bytes(16)
		var at [8]byte
		copy(at[:], r.Bytes(7))
		g.Committed = microseconds(binary.LittleEndian.Uint64(at[:]) &^ (1 << 55))
	}
	switch {
	case anonymous:
		g.Source, g.Number = mysqldump.UUID{}, 0
	case g.Number == 0 || g.Number >= 1<<63:
		err = fmt.Errorf("number %d", g.Number)
	}
	return g, err
}

func microseconds(n uint64) time.Time {
	if n == 0 || n >= 1<<55 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

// maxTag is of MySQL.
const maxTag = 32

// parseTagged parses a message of MySQL's serialization: fields with their numbers before them, in order.
func parseTagged(body []byte) (g GTID, err error) {
	r := wire.NewReader(body)
	g.Flavor = mysqldump.MySQL
	number(&r) // version
	if size := number(&r); r.Err() == nil && size != uint64(len(body)) {
		return g, fmt.Errorf("it says that it has %d bytes, and has %d", size, len(body))
	}
	number(&r) // the last field that must be understood
	for r.Left() > 0 && r.Err() == nil {
		switch field := number(&r); field {
		case 0: // flags
			number(&r)
		case 1:
			for i := range g.Source {
				g.Source[i] = byte(number(&r))
			}
		case 2:
			if g.Number = number(&r); g.Number&1 != 0 {
				return g, errors.New("its number is negative")
			}
			g.Number >>= 1
		case 3:
			n := number(&r)
			if n > maxTag {
				return g, fmt.Errorf("a tag of %d bytes", n)
			}
			g.Tag = strings.ToLower(string(r.Bytes(int(n))))
		case 6:
			g.Committed = microseconds(number(&r))
		default: // one number each, as far as is known
			number(&r)
		}
	}
	if err = r.Err(); err == nil && (g.Number == 0 || g.Source.IsZero()) {
		err = errors.New("it names no transaction")
	}
	return g, err
}

// number takes a number off the front that says by the ones at the low end of its first byte how many bytes follow.
func number(r *wire.Reader[[]byte]) uint64 {
	first := r.Byte()
	more := bits.TrailingZeros8(^first)
	var b [8]byte
	copy(b[:], r.Bytes(more))
	n := binary.LittleEndian.Uint64(b[:])
	if more >= 7 { // nothing of the number is in the first byte
		return n
	}
	return n<<(7-more) | uint64(first)>>(more+1)
}

// ParseBefore parses what a log says near its beginning of the transactions in the logs before it: PreviousGTIDs of
// MySQL, GTIDList of MariaDB, of which the last of each domain counts.
func (e *Event) ParseBefore() (set mysqldump.GTIDSet, err error) {
	var sum GTIDs
	if err = e.addBefore(&sum); err == nil {
		set, err = sum.Set()
	}
	if err != nil {
		return set, fmt.Errorf("read event at offset %d: %v: %w", e.At, e.Type, err)
	}
	return set, nil
}

func (e *Event) addBefore(sum *GTIDs) error {
	switch e.Type {
	case PreviousGTIDs:
		return sum.addPrevious(e.Body())
	case GTIDList:
		return sum.addList(e.Body())
	}
	return errors.New("it has no GTIDs")
}

// source is a source of MySQL's with a tag.
type source struct {
	uuid mysqldump.UUID
	tag  string
}

type interval struct{ first, last uint64 }

type point struct {
	server uint32
	number uint64
}

// GTIDs adds up transactions one by one, fast where they come in order. The zero value is empty. It holds one flavor.
type GTIDs struct {
	sources map[source][]interval
	domains map[uint32]point
	parts   int               // intervals
	base    mysqldump.GTIDSet // of MySQL, which is added to them
}

// Add adds a transaction. Of MariaDB the last of each domain counts, as in the server's gtid_binlog_pos.
func (s *GTIDs) Add(g GTID) error {
	switch {
	case g.IsZero():
		return nil
	case g.Flavor == mysqldump.MariaDB:
		return s.setDomain(g.Domain, point{g.Server, g.Number})
	}
	return s.addInterval(source{g.Source, g.Tag}, interval{g.Number, g.Number})
}

// AddSet adds a set that Set returned.
func (s *GTIDs) AddSet(set mysqldump.GTIDSet) error {
	if set.Flavor() != mysqldump.MariaDB {
		all, err := s.base.Union(set)
		s.base = all
		return err
	}
	for item := range strings.SplitSeq(set.String(), ",") {
		var domain uint32
		var at point
		if _, err := fmt.Sscanf(item, "%d-%d-%d", &domain, &at.server, &at.number); err != nil {
			return err
		}
		if err := s.setDomain(domain, at); err != nil {
			return err
		}
	}
	return nil
}

func (s *GTIDs) setDomain(domain uint32, at point) error {
	if s.domains == nil {
		s.domains = map[uint32]point{}
	}
	if _, there := s.domains[domain]; !there && len(s.domains) == mysqldump.MaxIntervals {
		return fmt.Errorf("more than %d domains", mysqldump.MaxIntervals)
	}
	s.domains[domain] = at
	return nil
}

func (s *GTIDs) addInterval(from source, i interval) error {
	if s.sources == nil {
		s.sources = map[source][]interval{}
	}
	all := s.sources[from]
	if n := len(all); n > 0 && all[n-1].last+1 == i.first {
		all[n-1].last = i.last
		return nil
	}
	if s.parts++; s.parts > mysqldump.MaxIntervals {
		return fmt.Errorf("more than %d intervals of GTIDs", mysqldump.MaxIntervals)
	}
	s.sources[from] = append(all, i)
	return nil
}

func (s *GTIDs) addPrevious(body []byte) error {
	const tagged = 1 // in the highest byte of the count, and in the lowest
	r := wire.NewReader(body)
	count := r.Uint64()
	tags := count>>56 == tagged
	if tags {
		count = count << 8 >> 16
	}
	if count > uint64(r.Left())/(16+8) {
		return fmt.Errorf("%d sources are more than it has room for", count)
	}
	for range count {
		var from source
		r.Into(from.uuid[:])
		if tags {
			n := number(&r)
			if n > maxTag {
				return fmt.Errorf("a tag of %d bytes", n)
			}
			from.tag = strings.ToLower(string(r.Bytes(int(n))))
		}
		for range r.Uint64() {
			first, end := r.Uint64(), r.Uint64()
			if r.Err() != nil {
				break
			}
			if first == 0 || end <= first || end >= 1<<63 {
				return fmt.Errorf("an interval from %d to %d", first, end)
			}
			if err := s.addInterval(from, interval{first, end - 1}); err != nil {
				return err
			}
		}
	}
	return r.End()
}

func (s *GTIDs) addList(body []byte) error {
	r := wire.NewReader(body)
	count := r.Uint32() & (1<<28 - 1) // above are flags
	if uint64(count) > uint64(r.Left())/16 {
		return fmt.Errorf("%d GTIDs are more than it has room for", count)
	}
	for range count {
		domain, at := r.Uint32(), point{r.Uint32(), r.Uint64()}
		if err := s.setDomain(domain, at); err != nil {
			return err
		}
	}
	return r.Err() // padding may follow
}

// Set returns all that was added.
func (s *GTIDs) Set() (mysqldump.GTIDSet, error) {
	var b strings.Builder
	for _, domain := range slices.Sorted(maps.Keys(s.domains)) {
		at := s.domains[domain]
		fmt.Fprintf(&b, ",%d-%d-%d", domain, at.server, at.number)
	}
	for from, intervals := range s.sources {
		fmt.Fprintf(&b, ",%v", from.uuid)
		if from.tag != "" {
			b.WriteString(":" + from.tag)
		}
		for _, i := range intervals {
			fmt.Fprintf(&b, ":%d-%d", i.first, i.last)
		}
	}
	set, err := mysqldump.ParseGTIDSet(strings.TrimPrefix(b.String(), ","))
	if err != nil || s.base.IsZero() {
		return set, err
	}
	return s.base.Union(set)
}
