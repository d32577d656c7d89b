// Package help writes what commands say of themselves: the text of --help within a width, and manual pages.
//
// The invariant: both are made of the same command, and every flag that is not hidden stands in them once. The package knows no command; which flags belong
// together it is told. It neither reads the environment nor the clock, so that a manual page is the same wherever it is made.
package help

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A Group is flags that are shown under a heading of their own.
type Group struct {
	Heading string
	Flags   []string // names; one that ends in a hyphen stands for all that begin so
	Root    bool     // only of the flags of the program itself
}

// has reports whether a flag belongs to the group.
func (g Group) has(name string) bool {
	return slices.ContainsFunc(g.Flags, func(f string) bool { return f == name || strings.HasSuffix(f, "-") && strings.HasPrefix(name, f) })
}

// A Guide says how the commands of a program are explained.
type Guide struct {
	Groups    []Group // the first that has a flag has it; the flags of none come before them, under Flags
	Inherited string  // what is said instead of the flags that a command has from those above it
}

// A section is a heading and the flags below it.
type section struct {
	heading string
	flags   *pflag.FlagSet
}

// sections returns a command's own flags, grouped. Headings without flags are left out.
func (g Guide) sections(c *cobra.Command) []section {
	all := c.LocalFlags()
	found := make([]section, len(g.Groups)+1)
	found[0].heading = "Flags"
	for i, group := range g.Groups {
		found[i+1].heading = group.Heading
	}
	for i := range found {
		found[i].flags = pflag.NewFlagSet("", pflag.ContinueOnError)
		found[i].flags.SortFlags = all.SortFlags
	}
	all.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			found[1+slices.IndexFunc(g.Groups, func(group Group) bool { return group.has(f.Name) && !(group.Root && c.HasParent()) })].flags.AddFlag(f)
		}
	})
	return slices.DeleteFunc(found, func(s section) bool { return !s.flags.HasFlags() })
}

// Write explains a command in lines of at most so many columns, as far as its words let it.
func (g Guide) Write(w io.Writer, c *cobra.Command, width int) error {
	var text strings.Builder
	outline(&text, c, width)
	for _, s := range g.sections(c) {
		text.WriteString("\n" + s.heading + ":\n" + s.flags.FlagUsagesWrapped(width))
	}
	if c.HasAvailableInheritedFlags() {
		text.WriteString("\n" + Fill(g.Inherited, width) + "\n")
	}
	more(&text, c, width)
	_, err := io.WriteString(w, text.String())
	return err
}

// WriteCommands says which commands are below one, and nothing of flags.
func WriteCommands(w io.Writer, c *cobra.Command, width int) error {
	var text strings.Builder
	outline(&text, c, width)
	more(&text, c, width)
	_, err := io.WriteString(w, text.String())
	return err
}

// outline explains a command but for its flags.
func outline(text *strings.Builder, c *cobra.Command, width int) {
	text.WriteString(Fill(describe(c), width) + "\n")
	text.WriteString("\nUsage:\n")
	if c.Runnable() {
		text.WriteString(indent(c.UseLine(), "  ", "      ", width))
	}
	if c.HasAvailableSubCommands() && !group(c) {
		text.WriteString("  " + c.CommandPath() + " COMMAND\n")
	}
	if c.HasExample() {
		text.WriteString("\nExamples:\n" + c.Example + "\n")
	}
	if below := available(c); len(below) > 0 {
		text.WriteString("\nAvailable Commands:\n")
		longest := 0
		for _, c := range below {
			longest = max(longest, len(c.Name()))
		}
		for _, c := range below {
			text.WriteString(indent(c.Short, fmt.Sprintf("  %-*s ", longest, c.Name()), strings.Repeat(" ", longest+3), width))
		}
	}
}

// group reports whether a command does nothing without one below it, which its own usage says.
func group(c *cobra.Command) bool { return strings.HasSuffix(c.Use, " COMMAND") }

// more says where there is more to read.
func more(text *strings.Builder, c *cobra.Command, width int) {
	if c.HasAvailableSubCommands() {
		text.WriteString("\n" + Fill(fmt.Sprintf("Use %q for more information about a command.", c.CommandPath()+" COMMAND --help"), width) + "\n")
	}
}

// describe returns what a command does.
func describe(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short
}

// available returns the commands below one that are shown.
func available(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() && c.Name() != "help" })
}

// paragraphs returns the paragraphs of a text, which blank lines part. One that is set, since a line of it is indented, keeps its lines.
func paragraphs(text string) (all []paragraph) {
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.Trim(p, "\n"); p == "" {
			continue
		}
		set := strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") || strings.Contains(p, "   ")
		if !set {
			p = strings.Join(strings.Fields(p), " ")
		}
		all = append(all, paragraph{p, set})
	}
	return all
}

type paragraph struct {
	text string
	set  bool
}

// Fill breaks the lines of a text anew, by paragraphs.
func Fill(text string, width int) string {
	var filled []string
	for _, p := range paragraphs(text) {
		if !p.set {
			p.text = strings.TrimSuffix(indent(p.text, "", "", width), "\n")
		}
		filled = append(filled, p.text)
	}
	return strings.Join(filled, "\n\n")
}

// indent breaks a text into lines, of which the first and the others begin with something.
func indent(text, first, others string, width int) string {
	var lines strings.Builder
	line := first
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines.WriteString(line + "\n")
			line, empty = others, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	lines.WriteString(strings.TrimRight(line, " ") + "\n")
	return lines.String()
}
