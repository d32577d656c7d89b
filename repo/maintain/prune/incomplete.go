package prune

import (
	"errors"
	"fmt"
	"strings"

	"nightjar/crypto"
	"nightjar/repo/maintain/retain"
)

// mostTold is how many archives an IncompleteError tells of.
const mostTold = 10

// An IncompleteError says that archives cannot be walked to their end, or are missing. Nothing may be given up before they can, or are given up.
type IncompleteError struct {
	Archives []Incomplete // the first ten
	More     int
}

// An Incomplete is an archive, and the first thing that it lacks.
type Incomplete struct {
	Archive string // its id, or its name if it cannot be read
	Err     error
}

func (e *IncompleteError) add(archive string, err error) {
	if len(e.Archives) == mostTold {
		e.More++
		return
	}
	e.Archives = append(e.Archives, Incomplete{archive, err})
}

func (e *IncompleteError) Error() string {
	var all []string
	for _, a := range e.Archives {
		if errors.Is(a.Err, retain.ErrGap) {
			all = append(all, a.Err.Error())
			continue
		}
		all = append(all, fmt.Sprintf("walk archive %s: %v", a.Archive, a.Err))
	}
	if e.More > 0 {
		all = append(all, fmt.Sprintf("and %d archives more", e.More))
	}
	return strings.Join(all, "\n")
}

// Unwrap returns what the archives lack.
func (e *IncompleteError) Unwrap() []error {
	var all []error
	for _, a := range e.Archives {
		all = append(all, a.Err)
	}
	return all
}

// ErrRedated says that an archive counted once and is late now: it was stored again, alone or with the whole repository.
var ErrRedated = fmt.Errorf("it counted once, and was stored again without its time: %w", crypto.ErrIntegrity)
