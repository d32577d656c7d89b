// Package usage holds the errors that speak to whoever runs the program: that the command line is wrong, and what to do about something.
//
// It says nothing by itself: package outcome makes exit codes and hints of errors.
package usage

import "fmt"

// Error says that the command line is wrong.
type Error struct{ Err error }

func (e Error) Error() string { return e.Err.Error() }
func (e Error) Unwrap() error { return e.Err }

// Errorf makes an Error, as fmt.Errorf makes an error.
func Errorf(format string, args ...any) error { return Error{fmt.Errorf(format, args...)} }

// Hinted is an error with advice that only its place knows.
type Hinted struct {
	Err  error
	Hint string
}

func (e Hinted) Error() string { return e.Err.Error() }
func (e Hinted) Unwrap() error { return e.Err }
