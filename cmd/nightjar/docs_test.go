package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/commands/jobs"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/timer"
)

var (
	// inBlock finds the command in a line of an indented or fenced block, after a prompt, a crontab's fields or another command.
	inBlock = regexp.MustCompile(`(?:^|[$;&|(] *|\broot +)nightjar +([^#;&|>)]*)`)
	inProse = regexp.MustCompile("`([^`]+)`")
	words   = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	flag    = regexp.MustCompile(`^--[a-z-]*[a-z]`)

	// said are lines of scripts, not of a command.
	said = []string{"config is genuine"}
	// labels are what keys are called, which looks like a command.
	labels = []string{"content", "metadata", "blocks", "names", "proof", "recovery", "root"}
)

// TestDocs wants every command line in the documents to be one that the program takes.
func TestDocs(t *testing.T) {
	files, err := filepath.Glob("../../doc/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../../README.md")
	whole, parts := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for n, line := range strings.Split(string(text), "\n") {
			wrong := func(what string, err error) {
				t.Errorf("%s:%d: %s: %v", filepath.Base(file), n+1, what, err)
			}
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			if fenced || strings.HasPrefix(line, "    ") {
				for _, found := range inBlock.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
					whole++
					if err := parses(found[1], true); err != nil {
						wrong(found[0], err)
					}
				}
				continue
			}
			for _, found := range inProse.FindAllStringSubmatch(line, -1) {
				span := found[1]
				if name := flag.FindString(span); name != "" && !strings.HasPrefix(span, name+"-") && !isFlag(strings.TrimPrefix(name, "--")) {
					wrong(span, os.ErrNotExist)
				}
				span, named := strings.CutPrefix(span, "nightjar ")
				if first, _, more := strings.Cut(span, " "); named && !slices.Contains(labels, first) || more && isCommand(first) && !slices.Contains(said, span) {
					parts++
					if err := parses(span, false); err != nil {
						wrong(found[1], err)
					}
				}
			}
		}
	}
	if whole < 50 || parts < 50 {
		t.Errorf("found only %d command lines and %d parts of some", whole, parts)
	}
	for _, line := range []string{"frobnicate", "key frobnicate", "list --frobnicate", "list all", "restore", "check --sample"} {
		if parses(line, true) == nil {
			t.Errorf("%s is taken for a command line", line)
		}
	}
}

// packaged is the timer of the package, which serves any job file: it knows no folders, and may meet jobs of EBS that freeze.
func packaged() timer.Timer {
	const program = "/usr/bin/nightjar"
	thaw := [][]string{{program, "--config=none", "ebs", "thaw"}, {program, "ebs", "thaw"}} // where no job file says otherwise, and where it says
	return jobs.DueTimer([]string{program, "run", "--due"}, timer.Service{Bounded: true, Low: true, Steady: true, After: thaw})
}

// TestUnits wants the package's units to be those that nightjar schedule would print, and every command line in them to be one that the program takes.
func TestUnits(t *testing.T) {
	var text string
	for _, unit := range packaged().Systemd() {
		packed, err := os.ReadFile(filepath.Join("../../packaging", unit.Name))
		if err != nil {
			t.Fatal(err)
		}
		if string(packed) != unit.Text {
			t.Errorf("packaging/%s is\n%s\nand has to be\n%s", unit.Name, packed, unit.Text)
		}
		text += unit.Text
	}
	found := regexp.MustCompile(`(?m)^Exec[A-Za-z]*=[-+!]*/usr/bin/nightjar (.*)$`).FindAllStringSubmatch(text, -1)
	for _, line := range found {
		if err := parses(line[1], true); err != nil {
			t.Errorf("%s: %v", line[0], err)
		}
	}
	if len(found) != 3 {
		t.Errorf("found %d command lines", len(found))
	}
}

// parses reports what is wrong with a command line without its first word: unknown commands and flags; if it is whole, also too few or too many arguments.
func parses(line string, whole bool) error {
	if line = strings.TrimSpace(line); strings.HasPrefix(line, "COMMAND") {
		return nil
	}
	var args []string
	for _, word := range words.FindAllString(line, -1) {
		args = append(args, strings.Trim(word, `'"`))
	}
	c, rest, err := commandTree(new(app.App)).Find(args)
	if err != nil {
		return err
	}
	if !c.DisableFlagParsing {
		var short *pflag.ValueRequiredError
		err := c.ParseFlags(rest)
		if errors.Is(err, pflag.ErrHelp) || errors.As(err, &short) && !whole {
			return nil
		}
		if err != nil {
			return err
		}
		rest = c.Flags().Args()
	}
	if whole || c.HasSubCommands() {
		return c.ValidateArgs(rest)
	}
	return nil
}

func isCommand(name string) bool {
	return slices.ContainsFunc(commandTree(new(app.App)).Commands(), func(c *cobra.Command) bool { return c.Name() == name })
}

// isFlag reports whether any command has the flag.
func isFlag(name string) bool {
	var has func(c *cobra.Command) bool
	has = func(c *cobra.Command) bool {
		for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
			if set.Lookup(name) != nil {
				return true
			}
		}
		return slices.ContainsFunc(c.Commands(), has)
	}
	return name == "help" || has(commandTree(new(app.App)))
}
