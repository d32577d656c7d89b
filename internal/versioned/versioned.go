// Package versioned reads and writes JSON records, which say of which version of the format they are.
//
// The invariant: a record means one thing to every reader. So what is written is I-JSON (RFC 7493) without null, and nothing else is read:
// no member twice or in two spellings that differ in case only, no invalid UTF-8, no number that does not fit, nothing before or behind; and
// names are matched as they are written. Bounds are checked before anything is allocated by what a record says. doc/format.md, section 2.4, is the format.
package versioned

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Version is the version of the format that is written and read.
const Version = 0

// ErrNewer says that a repository needs a newer program.
var ErrNewer = errors.New("the repository's format is newer than this program")

// ErrTooLarge says that a record has more than its kind may have.
var ErrTooLarge = errors.New("it is more than a record of its kind has")

const (
	depthMax   = 16   // of objects and arrays in one another
	membersMax = 4096 // of one object
	nameMax    = 4096 // bytes of a member's name
)

// Bounds are what a kind of record may have at most.
type Bounds struct {
	Bytes   int
	Objects int // JSON objects, each of which may become a large structure
	Values  int // objects, arrays, strings, numbers and booleans
}

// Parse parses a record into v, a pointer. A member that v does not have is ignored. A record of another version is an error: the keys of a
// repository are of the highest version that is in it.
func Parse(content []byte, v any, b Bounds) error {
	version, err := parse(content, v, b)
	if err == nil && version > Version {
		err = fmt.Errorf("it says that it is of version %d, which is higher than that of the keys", version)
	}
	if err != nil {
		return fmt.Errorf("parse record: %w", err)
	}
	return nil
}

// ParseFirst is Parse for what says of which version a repository is: the error for a higher one is ErrNewer.
func ParseFirst(content []byte, v any, b Bounds) error {
	version, err := parse(content, v, b)
	if err == nil && version > Version {
		err = fmt.Errorf("version %d: %w", version, ErrNewer)
	}
	if err != nil {
		return fmt.Errorf("parse record: %w", err)
	}
	return nil
}

// parse returns a record's version, and parses the record if that is known.
func parse(content []byte, v any, b Bounds) (version int, err error) {
	if err := check(content, b); err != nil {
		return 0, err
	}
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return 0, err
	}
	if head.Version == nil || *head.Version < 0 {
		return 0, errors.New("no version")
	}
	if *head.Version > Version {
		return *head.Version, nil
	}
	return *head.Version, json.Unmarshal(content, v)
}

// Peek parses a few members of what nobody has vouched for yet. It takes no more memory than v does, if that has arrays and no slices, and does not
// see what else is wrong.
func Peek(content []byte, v any) error {
	return json.Unmarshal(content, v, jsontext.AllowDuplicateNames(true), jsonv1.UnmarshalArrayFromAnyLength(true))
}

// Encode returns v as a record, and an error if nobody would read it.
func Encode(v any, b Bounds) ([]byte, error) {
	content, err := json.Marshal(v, json.Deterministic(true))
	if err == nil {
		err = check(content, b)
	}
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return content, nil
}

// EncodeIndented is Encode for a record that people may look at.
func EncodeIndented(v any, b Bounds) ([]byte, error) {
	content, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent(" "))
	if err == nil {
		err = check(content, b)
	}
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return append(content, '\n'), nil
}

// check reads a record through, without keeping anything of it.
func check(content []byte, b Bounds) error {
	if len(content) > b.Bytes {
		return fmt.Errorf("%d bytes: %w", len(content), ErrTooLarge)
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(content)) // which it does not copy
	var names [depthMax + 1]map[string]bool            // of the object at each depth, folded
	objects, values := 0, 0
	for {
		kind, members := d.StackIndex(d.StackDepth())
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			if values == 0 {
				return errors.New("nothing is there")
			}
			return nil
		case err != nil:
			return err
		case d.StackDepth() == 0 && token.Kind() != jsontext.KindEndObject, values > 0 && kind == 0:
			return errors.New("it is no single object")
		case d.StackDepth() > depthMax:
			return errors.New("it is too deep")
		}
		isName := kind == jsontext.KindBeginObject && members%2 == 0
		switch token.Kind() {
		case jsontext.KindNumber: // of a member that v does not have, too
			if _, err := strconv.ParseInt(token.String(), 10, 64); err != nil {
				if _, err := strconv.ParseUint(token.String(), 10, 64); err != nil {
					return fmt.Errorf("number %.40s is not whole, or does not fit 64 bits", token.String())
				}
			}
		case jsontext.KindEndObject, jsontext.KindEndArray:
			continue
		case jsontext.KindNull:
			return errors.New("null is nothing that a record says")
		case jsontext.KindBeginObject:
			clear(names[d.StackDepth()])
			objects++
		case jsontext.KindString:
			if !isName {
				break
			}
			at := &names[d.StackDepth()]
			if *at == nil {
				*at = map[string]bool{}
			}
			name := token.String()
			if len(name) > nameMax {
				return fmt.Errorf("a member has a name of %d bytes", len(name))
			}
			if name = fold(name); (*at)[name] || len(*at) == membersMax {
				return fmt.Errorf("member %q is there in two spellings, or is one too many", token.String())
			}
			(*at)[name] = true
			continue
		}
		values++
		if objects > b.Objects || values > b.Values {
			return fmt.Errorf("too many values: %w", ErrTooLarge)
		}
	}
}

// fold returns a name as one that is equal to it but for case is returned, too.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for next := unicode.SimpleFold(r); ; next = unicode.SimpleFold(next) {
			if next <= r { // the smallest of those that differ in case
				return next
			}
			r = next
		}
	}, name)
}
