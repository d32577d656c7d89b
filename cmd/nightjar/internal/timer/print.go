package timer

import (
	"fmt"
	"io"
)

// Print prints units, each after a comment that says where it belongs.
func Print(w io.Writer, units []File) {
	for i, u := range units {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "# /etc/systemd/system/%s\n%s", u.Name, u.Text)
	}
}
