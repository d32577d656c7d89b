package dbflags

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"nightjar/mysqldump/lock"
)

// MaxLock binds the flag --max-lock.
func MaxLock(f *pflag.FlagSet, to *time.Duration) {
	*to = lock.DefaultMax
	f.Var((*maxLock)(to), "max-lock", "how long the lock may be held, with tables that no snapshot covers: a second or more")
}

// A maxLock is a duration that servers, which count seconds, can keep.
type maxLock time.Duration

func (m *maxLock) String() string { return time.Duration(*m).String() }
func (m *maxLock) Type() string   { return "duration" }
func (m *maxLock) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	if d < time.Second {
		return errors.New("a second is the least")
	}
	*m = maxLock(d)
	return nil
}
