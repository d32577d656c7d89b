package s3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// probeName is no object's name; the object stays, so that asking again takes
// one request and leaves nothing new.
const probeName = ".conditions"

const probeText = "nightjar stores this under the condition that it is not there, to see whether the server honors that\n"

// support is whether the server does something.
type support int

const (
	unknown support = iota
	honored
	ignored
)

// honorsConditions says whether the server creates an object only if none has
// its name. It asks once in a Store's life, and not as long as it may guess;
// then the answer is yes until the server says otherwise.
func (s *Store) honorsConditions(ctx context.Context, guess bool) (bool, error) {
	s.probing.Lock()
	defer s.probing.Unlock()
	if guess {
		return s.conditions != ignored, nil
	}
	for try := 0; s.conditions == unknown; try++ {
		_, err := s.create(ctx, probeName, []byte(probeText), sha256.Sum256([]byte(probeText)), time.Time{}, true)
		switch {
		case preconditionFailed(err):
			s.conditions = honored
		case notImplemented(err), err == nil && try > 0: // stored a second time
			s.conditions = ignored
			s.o.Warn(ErrNoConditions)
		case err != nil:
			return false, fmt.Errorf("see whether the server honors conditions: %w", s.explain(ctx, "s3:PutObject", probeName, err))
		}
	}
	return s.conditions == honored, nil
}

// ignoresConditions takes note of a server that said so itself.
func (s *Store) ignoresConditions() {
	s.probing.Lock()
	defer s.probing.Unlock()
	if s.conditions != ignored {
		s.conditions = ignored
		s.o.Warn(ErrNoConditions)
	}
}
