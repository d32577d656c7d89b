package save

import (
	"errors"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/mysqldump/server"
)

// adviseKeeping says what to do about a server that keeps its logs in a way that is refused.
func adviseKeeping(err error) error {
	switch {
	case errors.Is(err, server.ErrBinaryLogEngine):
		return usage.Hinted{Err: err, Hint: "nothing was saved. Back up a replica of it that keeps its binary log in files; nightjar mysql check says more"}
	case errors.Is(err, server.ErrRedoArchive):
		return usage.Hinted{Err: err, Hint: "nothing was saved. SET GLOBAL innodb_log_archive=OFF, here and in the option file; nightjar mysql dump needs none of this"}
	}
	return err
}
