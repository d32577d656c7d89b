package binlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"nightjar/mysqldump"
)

// A Span is what a log covers, from its beginning to an offset.
type Span struct {
	To           uint64    // the offset: no transaction is open there, or the log ends there
	First, Last  time.Time // of the earliest and the latest transaction; zero if there are none
	Transactions uint64

	Before mysqldump.GTIDSet // of all logs before it; empty if it does not say so
	GTIDs  mysqldump.GTIDSet // in it
	After  mysqldump.GTIDSet // of it and all logs before it

	Format Format
	// Identity is the SHA-256 of the log's first event, in hex: of two logs with one name, it says whether they are the same.
	Identity string
	Ends     Type   // Rotate or Stop, which ends a log; 0 if neither came
	Next     string // the log that a Rotate names
	Broken   int    // transactions whose end is missing
	Backward bool   // a transaction has an earlier time than one before
}

// A Scanner sums up the events of one log. The zero Scanner is at its beginning.
type Scanner struct {
	span  Span
	gtids GTIDs
	after GTIDs
	a     Assembler
	known uint64 // transactions that end up to here are in the span
}

// Continue returns a Scanner of a log that goes on after a span, from where the next event is added. That may be before
// the span's end: what is in it counts once.
func Continue(span Span) (*Scanner, error) {
	s := &Scanner{span: span, known: span.To}
	if err := s.gtids.AddSet(span.GTIDs); err != nil {
		return nil, err
	}
	return s, s.after.AddSet(span.After)
}

// Add adds the next event. It returns the transaction which that completes, if any.
func (s *Scanner) Add(e *Event) (*Transaction, error) {
	t, err := s.a.Add(e)
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case FormatDescription:
		if s.span.Format, err = parseFormat(e.Raw); err != nil {
			return nil, err
		}
		s.span.Identity = identity(e.Raw)
	case PreviousGTIDs, GTIDList:
		if s.span.Before, err = e.ParseBefore(); err == nil {
			err = e.addBefore(&s.after)
		}
	case Rotate:
		s.span.Next, _, err = ParseRotate(e.Body())
		s.span.Ends = Rotate
	case Stop:
		s.span.Ends = Stop
	}
	if err != nil {
		return nil, err
	}
	if t != nil && t.Next <= s.known {
		return t, nil
	}
	if t != nil && t.Broken {
		s.span.Broken++
	} else if t != nil {
		if err := s.count(t); err != nil {
			return nil, err
		}
	}
	if !s.a.Open() {
		s.span.To = max(s.span.To, e.Next)
	}
	return t, nil
}

func (s *Scanner) count(t *Transaction) error {
	s.span.Transactions++
	if s.span.Last.After(t.Time) {
		s.span.Backward = true
	} else {
		s.span.Last = t.Time
	}
	if s.span.First.IsZero() || t.Time.Before(s.span.First) {
		s.span.First = t.Time
	}
	if err := s.gtids.Add(t.GTID); err != nil {
		return err
	}
	return s.after.Add(t.GTID)
}

// To returns the offset up to which what came is whole: no transaction is open there.
func (s *Scanner) To() uint64 { return s.span.To }

// Span returns what came so far. Events of a transaction that is open are not in it.
func (s *Scanner) Span() (Span, error) {
	if s.span.Identity == "" {
		return Span{}, errors.New("sum up a binary log: nothing of it was read")
	}
	span := s.span
	var err error
	if span.GTIDs, err = s.gtids.Set(); err == nil {
		span.After, err = s.after.Set()
	}
	return span, err
}

// identity names a log by its first event: its server's id and version, and when it was begun. What a server changes in
// it when a replica begins in the middle is left out.
func identity(raw []byte) string {
	const end, flags, created = 13, 17, headerSize + 2 + formatServer
	whole := append([]byte{}, raw[:len(raw)-checksumSize]...)
	clear(whole[end:flags])
	whole[flags] &^= FlagInUse
	clear(whole[created : created+4])
	sum := sha256.Sum256(whole)
	return hex.EncodeToString(sum[:])
}

// Identify checks the first event of a log, as a server sends it also when a replica begins in the middle, and returns
// the log's Identity.
func Identify(first []byte) (string, error) {
	h, err := ParseHeader(first)
	if err == nil && (h.Type != FormatDescription || int(h.Size) != len(first)) {
		err = errors.New("it is no format description")
	}
	if err == nil {
		_, err = parseFormat(first)
	}
	if err != nil {
		return "", fmt.Errorf("read the first event of a binary log: %w", err)
	}
	return identity(first), nil
}
