package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/term"

	"nightjar/backup/local"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/crypto"
	"nightjar/internal/quote"
	"nightjar/job/jobfile"
	"nightjar/repo"
)

// app is one run of the program.
type app struct {
	session.Settings
	root                 bool // the user is root
	json, quiet, verbose bool
	config               string   // the job file that is named; none: there is to be none; empty: the usual one
	usual                []string // where it is looked for
	file                 *jobfile.File
	fileFlags            map[string]bool // flags whose values are the file's
	stdin                *os.File
	stdout, stderr       *os.File
	messages             struct {
		sync.Mutex
		to io.Writer // a running progress line's, or nil: stderr
	}
	problems atomic.Uint64
	damaged  atomic.Bool // one of them is a question of integrity
}

// say prints one line on standard error, harmless on a terminal whatever text is.
func (a *app) say(kind, text string) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	a.messages.Lock()
	defer a.messages.Unlock()
	to := a.messages.to
	if to == nil {
		to = a.stderr
	}
	fmt.Fprintf(to, "nightjar: %s: %s\n", kind, quote.Display(text))
}

// line prints a line of another nightjar on standard error as it is.
func (a *app) line(text string) {
	a.messages.Lock()
	defer a.messages.Unlock()
	_, _ = a.stderr.WriteString(text + "\n") // nobody is left to be told
}

// problem tells of what is wrong with one path, and makes the exit code 3. It may be called from any goroutine.
func (a *app) problem(path string, err error) {
	a.problems.Add(1)
	if errors.Is(err, crypto.ErrIntegrity) || errors.Is(err, restore.ErrVerify) {
		a.damaged.Store(true)
	}
	a.say("warning", path+": "+err.Error())
}

// note tells what a person should know, unless they asked for quiet.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.say("note", fmt.Sprintf(format, args...))
	}
}

// chatty says whether results that nobody asked for are printed: to a person, never to cron.
func (a *app) chatty() bool {
	return !a.quiet && (a.verbose || isTerminal(a.stdout))
}

// watched reports whether a person sees progress.
func (a *app) watched() bool { return !a.quiet && !a.json && isTerminal(a.stderr) }

// follow draws a progress line until the function that it returns is called, if somebody watches.
func (a *app) follow(m progress.Meter) (stop func()) {
	if !a.watched() {
		return func() {}
	}
	above, end := progress.Draw(a.stderr, m)
	direct := func(to io.Writer) {
		a.messages.Lock()
		defer a.messages.Unlock()
		a.messages.to = to
	}
	direct(above)
	return func() {
		direct(nil)
		end()
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// print writes to standard output, and fails when that fails.
func (a *app) print(f func(w io.Writer)) error {
	w := bufio.NewWriter(a.stdout)
	f(w)
	return flush(w)
}

func flush(w *bufio.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// madeUntold is err, the failure to tell of an archive that was made: whoever reads no more must not take it for no archive.
func madeUntold(made *repo.Archive, err error) error {
	if err == nil {
		return nil
	}
	return outcome.Problems{What: fmt.Sprintf("archive %s was made, but not told of: %v", made.ID, err)}
}

// result prints one line of a result at once: above a running progress line, if both go to the terminal.
func (a *app) result(line string) error {
	a.messages.Lock()
	defer a.messages.Unlock()
	var to io.Writer = a.stdout
	if a.messages.to != nil && isTerminal(a.stdout) {
		to = a.messages.to
	}
	if _, err := fmt.Fprintln(to, line); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

func encodeJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

func (a *app) printJSON(v any) error {
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	return a.print(func(w io.Writer) { fmt.Fprintf(w, "%s\n", b) })
}

func orNone(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

// ownership says who will own what is restored: only root can give files away.
func (a *app) ownership(numeric bool) local.Ownership {
	switch {
	case !a.root:
		return local.None
	case numeric:
		return local.Numeric
	}
	return local.ByName
}
