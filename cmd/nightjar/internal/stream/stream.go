// Package stream reads standard input, when that is what is saved: a file, or what another program prints. What is read, and where it goes, it does not know.
package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Input returns a reader of standard input, which may keep it waiting, but not past the end of ctx.
func Input(ctx context.Context, f *os.File) io.Reader { return &input{ctx, f} }

type input struct {
	ctx context.Context
	f   *os.File
}

func (r *input) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(r.f.Fd()), Events: unix.POLLIN}}, 250)
		if err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("wait for standard input: %w", err)
		}
		if ready > 0 {
			n, err := r.f.Read(p)
			var call *os.PathError
			if errors.As(err, &call) {
				err = fmt.Errorf("read standard input: %w", call.Err)
			}
			return n, err
		}
	}
}
