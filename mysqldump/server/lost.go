package server

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"
)

// Lost reports whether an error says that the session, or what it had begun, is gone for a reason that may pass: the
// connection broke, the server ended, somebody killed the session, or it lost a wait for locks. What was begun is to be
// done again in another session. Whether a statement that was sent took effect, Lost does not say.
func Lost(err error) bool {
	switch Number(err) {
	case 0:
		var wire net.Error
		return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, mysql.ErrMalformPkt) ||
			errors.Is(err, mysql.ErrBusyBuffer) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &wire)
	case 1040, 1203, // too many connections, of all or of the user
		1053,                         // the server shuts down
		1152, 1158, 1159, 1160, 1161, // the connection broke, as the server saw it
		1205, 1213, // a wait for a lock, a deadlock
		1317, 1927, 3169, 4031: // killed, or gone for being idle
		return true
	}
	return false
}

// Denied reports whether an error is of privileges that are missing.
func Denied(err error) bool {
	switch Number(err) {
	case 1044, 1045, 1142, 1143, 1227, 1370, 1401, 3118:
		return true
	}
	return false
}

// Reason returns an error without the statement that failed, which may have a password in it.
func Reason(err error) error {
	var said *mysql.MySQLError
	switch {
	case !errors.As(err, &said):
		return err
	case said.Number == 1064: // it repeats the statement
		return &mysql.MySQLError{Number: said.Number, SQLState: said.SQLState, Message: "the server does not know the statement"}
	}
	return said
}
