package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/help"
)

// TestExamples wants an example in the help of every command that does something, and every one to be a command line that the program takes.
func TestExamples(t *testing.T) {
	known := map[string]bool{}
	n := 0
	_ = help.Commands(commandTree(new(app.App)), func(c *cobra.Command) error {
		name := strings.TrimPrefix(c.CommandPath(), "nightjar ")
		known[name] = true
		if c.Example == "" && !c.HasAvailableSubCommands() {
			t.Errorf("%s has no example", name)
		}
		for line := range strings.Lines(c.Example) {
			found := inBlock.FindStringSubmatch(strings.TrimSpace(line))
			if found == nil {
				t.Errorf("%s: an example of something else: %s", name, line)
				continue
			}
			n++
			if err := parses(found[1], true); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
			if used, _, err := commandTree(new(app.App)).Find(strings.Fields(found[1])); err != nil || used.CommandPath() != c.CommandPath() {
				t.Errorf("%s: an example of another command: %s", name, line)
			}
		}
		return nil
	})
	if n < 60 {
		t.Errorf("found only %d examples", n)
	}
	for name := range examples {
		if !known[name] {
			t.Errorf("an example of %q, which is no command", name)
		}
	}
}

// TestHelp holds the help of every command to its width, and wants every flag in it once.
func TestHelp(t *testing.T) {
	_ = help.Commands(commandTree(new(app.App)), func(c *cobra.Command) error {
		for _, width := range []int{helpWidth, 60} {
			var out bytes.Buffer
			c.InitDefaultHelpFlag()
			if err := guide().Write(&out, c, width); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth && width == helpWidth {
					t.Errorf("%s --help: a line of %d columns: %s", c.CommandPath(), n, line)
				}
			}
			flags := 0
			for line := range strings.Lines(out.String()) {
				if strings.HasPrefix(line, "      --") || strings.HasPrefix(line, "  -") {
					flags++
				}
			}
			want := strings.Count(c.LocalFlags().FlagUsages(), "\n")
			if flags != want {
				t.Errorf("%s --help in %d columns shows %d flags of %d", c.CommandPath(), width, flags, want)
			}
		}
		return nil
	})
	root := commandTree(new(app.App))
	root.InitDefaultHelpFlag()
	var out bytes.Buffer
	if err := guide().Write(&out, root, helpWidth); err != nil {
		t.Fatal(err)
	}
	headings := []string{"\nRepository and keys:\n", "\nFolders:\n", "\nOutput:\n", "\nBuckets:\n", "\nSFTP servers:\n", "\nSpeed:\n"}
	if i := slices.IndexFunc(headings, func(h string) bool { return !strings.Contains(out.String(), h) }); i >= 0 || strings.Contains(out.String(), "\nFlags:\n") {
		t.Errorf("a heading is missing, or a flag of every command is under none:\n%s", out.String())
	}
}
