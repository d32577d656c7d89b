package restore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nightjar/mysqldump/server"
)

// A server with a binary log refuses functions of which it is not told that they change nothing, with error 1418, and all programs of
// accounts without SUPER, with 1419, unless it trusts whoever creates them.
const trustSetting = "GLOBAL log_bin_trust_function_creators"

// A trusting is whether the server was told to trust.
type trusting struct {
	mu sync.Mutex
	is bool
}

// trust has the server trust until the restore ends, if the account may say so. refused is why.
func (r *run) trust(ctx context.Context, s *server.Session, refused error) error {
	r.trusting.mu.Lock()
	defer r.trusting.mu.Unlock()
	if r.trusting.is {
		return nil
	}
	err := s.Exec(ctx, "SET "+trustSetting+"=1")
	switch {
	case err == nil:
		r.trusting.is = true
		r.note("the server has log_bin_trust_function_creators=1 until the restore ends: it refuses programs of the dump without that")
	case server.Number(err) != 0 && !server.Lost(err):
		err = fmt.Errorf("%w: the server takes it with log_bin_trust_function_creators=1, which the account may not set", refused)
	}
	return err
}

// distrust takes that back, whatever became of the restore.
func (r *run) distrust(ctx context.Context, w *worker) {
	if !r.trusting.is {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := w.do(ctx, func(s *server.Session, _ bool) error { return s.Exec(ctx, "SET "+trustSetting+"=0") })
	if err != nil {
		r.note("the server still has log_bin_trust_function_creators=1: SET GLOBAL log_bin_trust_function_creators=0 (%v)", err)
	}
}
