package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/server"
)

// makeAccount makes an account.
func (r *run) makeAccount(ctx context.Context, w *worker, x *object) error {
	d, err := r.define(x)
	if err != nil {
		return err
	}
	return w.do(ctx, func(s *server.Session, _ bool) error { return d.run(ctx, s) })
}

var _, _, _ = errors.New, fmt.Errorf, strings.ToLower
