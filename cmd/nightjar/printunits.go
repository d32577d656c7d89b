package main

import (
	"fmt"
	"io"

	"nightjar/cmd/nightjar/internal/timer"
)

// printUnits prints units, each after a comment that says where it belongs.
func printUnits(w io.Writer, units []timer.File) {
	for i, u := range units {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "# /etc/systemd/system/%s\n%s", u.Name, u.Text)
	}
}
