package s3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/repo/store/s3/request"
)

// Known is what is known of something that servers other than Amazon's may not do.
type Known string

// The states of knowledge. A server that has done it once has to go on: else whoever stands in between
// could take the protection away by one answer.
const (
	Unknown Known = ""
	Does    Known = "does"
	Ignores Known = "ignores" // takes the header, and does nothing
	Refuses Known = "refuses" // takes no request with the header
)

// Abilities are what servers may lack. See doc/s3.md, "Weaker servers".
type Abilities struct {
	Conditions Known `json:"conditions,omitempty"` // If-None-Match: *
	Checksums  Known `json:"checksums,omitempty"`  // x-amz-checksum-sha256
}

// ability is one of them, and the warning of a server that lacks it.
type ability struct {
	of               func(*Abilities) *Known
	header           string
	ignored, refused error
}

var (
	conditions = ability{func(a *Abilities) *Known { return &a.Conditions }, "If-None-Match", ErrNoConditions, ErrNoConditions}
	checksums  = ability{func(a *Abilities) *Known { return &a.Checksums }, "x-amz-checksum-sha256", ErrNoChecksums, ErrChecksumsRefused}
)

// abilities are what a Store knows by now.
type abilities struct {
	judging sync.Mutex // for experiments
	probed  bool       // whether conditions are honored, in this Store's life

	mu       sync.Mutex
	now      Abilities
	warned   map[error]bool
	noExpect atomic.Bool // the server refuses Expect
	noMode   atomic.Bool // the server refuses x-amz-checksum-mode
}

func (s *Store) known(a ability) Known {
	s.able.mu.Lock()
	defer s.able.mu.Unlock()
	return *a.of(&s.able.now)
}

// learn notes what a server was seen to do. It fails for one that does less than it did when the store was opened.
func (s *Store) learn(a ability, what Known) error {
	before := *a.of(&s.o.Abilities)
	if before == Does && (what == Refuses || a.header == conditions.header && what == Ignores) {
		return fmt.Errorf("%w: it %s %s", ErrWeaker, what, a.header)
	}
	s.able.mu.Lock()
	defer s.able.mu.Unlock()
	if now := a.of(&s.able.now); *now != what {
		*now = what
		if why := map[Known]error{Ignores: a.ignored, Refuses: a.refused}[what]; why != nil && before != what && !s.able.warned[why] {
			s.able.warned[why] = true
			s.o.Warn(why)
		}
		if before != Does {
			s.o.Learned(s.able.now)
		}
	}
	return nil
}

// probeName is no object's name; the object stays, so that asking again takes
// one request and leaves nothing new.
const probeName = ".conditions"

const probeText = "nightjar stores this under the condition that it is not there, to see whether the server honors that\n"

// headers are what a server may refuse.
type headers struct{ condition, checksum bool }

// headers returns what a request is sent with.
func (s *Store) headers(condition bool) headers {
	return headers{condition: condition, checksum: s.known(checksums) != Refuses}
}

func (s *Store) probe(ctx context.Context, with headers) error {
	_, err := s.create(ctx, probeName, []byte(probeText), sha256.Sum256([]byte(probeText)), time.Time{}, with)
	return err
}

// conditional says whether objects are created under the condition that none has the name.
func (s *Store) conditional() bool {
	k := s.known(conditions)
	return k == Unknown || k == Does
}

// Probe finds out what the server does of what others depend on, if that is not known yet. It stores an object that is none of the store's.
func (s *Store) Probe(ctx context.Context) error {
	s.able.judging.Lock()
	defer s.able.judging.Unlock()
	stored, odd := false, 0
	for !s.able.probed && s.conditional() {
		err := s.probe(ctx, s.headers(true))
		switch {
		case exists(err) && !stored && s.known(conditions) == Unknown:
			_, err := s.head(ctx, probeName, nil)
			switch {
			case err == nil:
				s.able.probed = true
				return s.learn(conditions, Does)
			case !request.NotFound(err):
				return s.unseen(ctx, err)
			}
			if odd++; odd%3 == 0 { // some servers refuse like that whatever is there
				if err := s.judgeNew(ctx); err != nil {
					return err
				}
			}
		case exists(err):
			s.able.probed = true
			return s.learn(conditions, Does)
		case err == nil && stored: // a second time
			return s.learn(conditions, Ignores)
		case err == nil:
			stored = true
		case refused(err, headers{condition: true}) && odd < 3:
			odd++
			if err := s.judge(ctx, true); err != nil {
				return err
			}
		default:
			return s.unseen(ctx, err)
		}
	}
	return nil
}

func (s *Store) unseen(ctx context.Context, err error) error {
	return fmt.Errorf("see whether the server honors conditions: %w", s.explain(ctx, "s3:PutObject", probeName, err))
}

// refused says whether a server may have refused a request for its headers. Without a condition, it cannot mean that something is there.
func refused(err error, with headers) bool {
	switch request.Status(err) {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	case http.StatusNotModified, http.StatusPreconditionFailed:
		if with.condition {
			return false
		}
	default:
		return false
	}
	kind := request.Kind(err)
	return kind == nil || kind == request.ErrAnswer
}

// exists says whether a server refused since something is there. 304 is what some say in the place of 412.
func exists(err error) bool {
	return request.PreconditionFailed(err) || request.Status(err) == http.StatusNotModified
}

// judge finds out by experiment which header it is that the server has refused. One refusal may be a proxy's whim: so a header counts as refused only
// when requests with it fail each time, and those between them, which have none, pass. able.judging is held.
func (s *Store) judge(ctx context.Context, condition bool) error {
	refuses := func(with headers) bool {
		for range 2 {
			if !refused(s.probe(ctx, with), with) {
				return false
			}
			if s.probe(ctx, headers{}) != nil {
				return false
			}
		}
		return true
	}
	if s.known(checksums) != Refuses && refuses(headers{checksum: true}) {
		if err := s.learn(checksums, Refuses); err != nil {
			return err
		}
	}
	if condition && s.conditional() && refuses(headers{condition: true}) {
		return s.learn(conditions, Refuses)
	}
	return ctx.Err()
}

// judgeNew is judge for a server that says of an object that it exists which is not there, time and again: so it is said of whatever it refuses.
func (s *Store) judgeNew(ctx context.Context) error {
	before := s.known(checksums)
	if err := s.judge(ctx, false); err != nil || s.known(checksums) != before {
		return err
	}
	if err := s.probe(ctx, headers{}); err != nil {
		return s.unseen(ctx, err)
	}
	return s.learn(conditions, Refuses)
}

// askAgain reports whether a request that failed may do better when it is sent again, maybe with other headers.
func (s *Store) askAgain(ctx context.Context, err error, condition bool) (again bool, _ error) {
	switch {
	case request.Status(err) == http.StatusExpectationFailed:
		return !s.able.noExpect.Swap(true), nil
	case !refused(err, headers{condition: condition}):
		return false, nil
	}
	s.able.judging.Lock()
	defer s.able.judging.Unlock()
	return true, s.judge(ctx, condition)
}

// expects leaves out Expect for a server that refuses it, which then gets each body before it can refuse that.
func (s *Store) expects(o *s3.Options) {
	if s.able.noExpect.Load() {
		o.ContinueHeaderThresholdBytes = -1
	}
}
