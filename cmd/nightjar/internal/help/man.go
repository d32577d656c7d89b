package help

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A Manual makes manual pages of section 1.
type Manual struct {
	Guide   Guide
	Date    time.Time // of the sources
	Version string    // of the program
	// More are the last sections of the page of the program itself: headings in capitals, and texts.
	More [][2]string
}

// Name returns the name of a command's page.
func Name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// Commands calls f for a command and all below it that are shown.
func Commands(c *cobra.Command, f func(*cobra.Command) error) error {
	if err := f(c); err != nil {
		return err
	}
	for _, below := range available(c) {
		if below.Name() == "help" {
			continue
		}
		if err := Commands(below, f); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the page of a command.
func (m Manual) Write(w io.Writer, c *cobra.Command) error {
	p := new(page)
	root := c.Root()
	version, _, _ := strings.Cut(m.Version, "+") // a longer one leaves no room for the date
	p.macro("TH", strings.ToUpper(Name(c)), "1", m.Date.UTC().Format(time.DateOnly), root.Name()+" "+version, "User Commands")
	p.line(".nh\n.ad l") // a name that is broken at its hyphen is no name
	p.macro("SH", "NAME")
	p.line(roff(Name(c)) + ` \- ` + roff(c.Short))
	p.macro("SH", "SYNOPSIS")
	if c.Runnable() && !group(c) {
		p.line(`\fB` + roff(c.CommandPath()) + `\fR` + roff(strings.TrimPrefix(c.UseLine(), c.CommandPath())))
	}
	if c.HasAvailableSubCommands() {
		if !group(c) {
			p.macro("br")
		}
		p.line(`\fB` + roff(c.CommandPath()) + `\fR ` + roff("COMMAND ..."))
	}
	p.macro("SH", "DESCRIPTION")
	p.text(describe(c))
	p.commands(c)
	m.flags(p, c)
	if c.HasExample() {
		p.macro("SH", "EXAMPLES")
		p.set(fold(c.Example))
	}
	if c == root {
		for _, more := range m.More {
			p.macro("SH", more[0])
			p.text(more[1])
		}
	}
	p.alsoSee(c)
	_, err := io.WriteString(w, p.String())
	return err
}

// flags writes the flags of a command, and where those are that it has from above.
func (m Manual) flags(p *page, c *cobra.Command) {
	p.macro("SH", "OPTIONS")
	for _, s := range m.Guide.sections(c) {
		if s.heading != "Flags" {
			p.macro("SS", s.heading)
		}
		s.flags.VisitAll(p.flag)
	}
	if c.HasAvailableInheritedFlags() {
		p.macro("PP")
		p.line(roff("The options of every command are in") + " " + reference(c.Root()) + ".")
	}
}

// A page is the source of a manual page as far as it is written.
type page struct{ strings.Builder }

// macro writes a request with its arguments, whatever is in them.
func (p *page) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, a := range args {
		p.WriteString(` "` + roff(a) + `"`)
	}
	p.WriteByte('\n')
}

// line writes a line of text that is escaped already.
func (p *page) line(text string) { p.WriteString(text + "\n") }

// text writes the paragraphs of a text.
func (p *page) text(text string) {
	for i, all := 0, paragraphs(text); i < len(all); i++ {
		if i > 0 {
			p.macro("PP")
		}
		if all[i].set {
			p.set(all[i].text)
		} else {
			p.line(roff(all[i].text))
		}
	}
}

// set writes lines that stay as they are.
func (p *page) set(text string) {
	p.macro("nf")
	for line := range strings.SplitSeq(text, "\n") {
		p.line(roff(line))
	}
	p.macro("fi")
}

// fold breaks command lines that are wider than a terminal of 80 columns, as a shell reads them: before a flag or else another word, outside of quotes.
func fold(lines string) string {
	const width = 80 - 7 - 2 // without the indent and what says that it goes on
	var out []string
	for line := range strings.SplitSeq(lines, "\n") {
		for len(line) > width {
			at := max(strings.LastIndex(line[:width], " -"), 0)
			if at < width/2 {
				at = strings.LastIndexByte(line[:width], ' ')
			}
			if at < 6 || strings.Count(line[:at], "'")%2 != 0 {
				break
			}
			out, line = append(out, line[:at]+` \`), "      "+line[at+1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func (p *page) commands(c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	p.macro("SH", "COMMANDS")
	for _, below := range available(c) {
		if below.Name() != "help" {
			p.macro("TP")
			p.line(reference(below))
			p.line(roff(below.Short))
		}
	}
}

func (p *page) flag(f *pflag.Flag) {
	value, usage := pflag.UnquoteUsage(f)
	p.macro("TP")
	line := `\fB` + roff("--"+f.Name) + `\fR`
	if f.Shorthand != "" {
		line = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + line
	}
	if value != "" {
		line += ` \fI` + roff(value) + `\fR`
	}
	p.line(line)
	if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" && f.NoOptDefVal == "" {
		usage += fmt.Sprintf(" (default: %s)", d)
	}
	p.line(roff(usage))
}

// alsoSee names the pages above and below a command's.
func (p *page) alsoSee(c *cobra.Command) {
	var all []string
	c.VisitParents(func(parent *cobra.Command) { all = append(all, reference(parent)) })
	for _, below := range available(c) {
		if below.Name() != "help" {
			all = append(all, reference(below))
		}
	}
	if len(all) > 0 {
		p.macro("SH", "SEE ALSO")
		p.line(strings.Join(all, ",\n"))
	}
}

// reference names a command's page.
func reference(c *cobra.Command) string { return `\fB` + roff(Name(c)) + `\fR(1)` }

// roff returns a text as roff shows it, whatever is in it: in a line of its own, within one, and in the quotes of an argument.
func roff(text string) string {
	var out strings.Builder
	for i, r := range text {
		switch {
		case r == '\\':
			out.WriteString(`\e`)
		case r == '-':
			out.WriteString(`\-`)
		case r == '"':
			out.WriteString(`\(dq`)
		case r == '\'':
			out.WriteString(`\(aq`)
		case r == '`':
			out.WriteString(`\(ga`)
		case r == '^':
			out.WriteString(`\(ha`)
		case r == '~':
			out.WriteString(`\(ti`)
		case r == '.' && i == 0:
			out.WriteString(`\&.`)
		case r < ' ' || r == 0x7f: // a newline would begin a request
			out.WriteByte(' ')
		case r > '~':
			fmt.Fprintf(&out, `\[u%04X]`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
