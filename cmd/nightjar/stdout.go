package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// survivePipes has writes to a pipe that nobody reads any more fail, instead of ending the program: what was made is told of, and what runs is finished.
func survivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// printers are the commands, by their last name, that only print.
var printers = []string{"cat", "completion", "find", "list", "ls", "metrics", "report", "show", "stats", "status", "version"}

// onlyPrints reports whether a command did nothing but print. Whoever reads no more of that, as head does, has what they want.
func onlyPrints(c *cobra.Command) bool {
	set := func(flag string) bool {
		on, err := c.Flags().GetBool(flag)
		return err == nil && on
	}
	return slices.Contains(printers, c.Name()) || set("dry-run") || c.Name() == "schedule" && !set("install")
}

// readerGone reports whether a command has ended since nobody reads what it prints.
func readerGone(err error) bool {
	return unprinted(err) && errors.Is(err, syscall.EPIPE)
}

// unprinted reports whether a command has failed since what it prints cannot be written.
func unprinted(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && write.Path == os.Stdout.Name()
}

// A helpWriter is where help goes. It remembers that it could not be written, for which cobra has no place.
type helpWriter struct {
	to  io.Writer
	err error
}

func (w *helpWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write to standard output: %w", err)
	}
	return n, err
}
