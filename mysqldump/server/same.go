package server

import (
	"context"
	"strconv"
)

// Same reports whether two sessions are of one server, by a name that one session locks, and the other sees.
func Same(ctx context.Context, a, b *Session) (bool, error) {
	name := "'nightjar.check." + strconv.FormatUint(a.ID(), 10) + "'"
	row, err := a.Row(ctx, "SELECT GET_LOCK("+name+", 0)")
	if err != nil || string(row[0]) != "1" {
		return false, err
	}
	if row, err = b.Row(ctx, "SELECT IFNULL(IS_USED_LOCK("+name+"), 0)"); err != nil {
		return false, err
	}
	same := string(row[0]) == strconv.FormatUint(a.ID(), 10)
	return same, a.Exec(ctx, "DO RELEASE_LOCK("+name+")")
}

// Encrypted reports whether the session runs over TLS.
func (c *Session) Encrypted(ctx context.Context) (bool, error) {
	row, err := c.Row(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	return err == nil && len(row[1]) > 0, err
}
