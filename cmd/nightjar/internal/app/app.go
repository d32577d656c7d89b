// Package app is one run of the program: what the command line, the environment and the job file say to all commands, and the streams that it answers on.
//
// All that is printed goes through an App, so that messages keep off a progress line, and names from outside are shown escaped. The environment enters by its fields.
package app

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
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/jobfile"
	"nightjar/repo"
)

// An App is one run of the program.
type App struct {
	session.Settings
	IsRoot               bool // the user is root
	JSON, Quiet, Verbose bool
	Config               string          // the job file that is named; none: there is to be none; empty: the usual one
	UsualFiles           []string        // where it is looked for
	File                 *jobfile.File   // what Prepare has read; nil: there is none
	FileFlags            map[string]bool // flags whose values are the file's
	In, Out, Err         *os.File
	messages             struct {
		sync.Mutex
		to io.Writer // a running progress line's, or nil: stderr
	}
	Problems atomic.Uint64 // calls of Problem
	Damaged  atomic.Bool   // one of them is a question of integrity
}

// Say prints a message on standard error, harmless on a terminal whatever text is: as one line, which a terminal has broken at its width.
func (a *App) Say(kind, text string) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	a.messages.Lock()
	defer a.messages.Unlock()
	to := a.messages.to
	if to == nil {
		to = a.Err
	}
	fmt.Fprintln(to, human.Wrap(fmt.Sprintf("nightjar: %s: %s", kind, quote.Display(text)), "    ", Columns(a.Err)))
}

// Line prints a line of another nightjar on standard error as it is.
func (a *App) Line(text string) {
	a.messages.Lock()
	defer a.messages.Unlock()
	_, _ = a.Err.WriteString(text + "\n") // nobody is left to be told
}

// Problem tells of what is wrong with one path, and makes the exit code 3. It may be called from any goroutine.
func (a *App) Problem(path string, err error) {
	a.Problems.Add(1)
	if errors.Is(err, crypto.ErrIntegrity) || errors.Is(err, restore.ErrVerify) {
		a.Damaged.Store(true)
	}
	a.Say("warning", path+": "+err.Error())
}

// Note tells what a person should know, unless they asked for quiet.
func (a *App) Note(format string, args ...any) {
	if !a.Quiet {
		a.Say("note", fmt.Sprintf(format, args...))
	}
}

// Chatty says whether results that nobody asked for are printed: to a person, never to cron.
func (a *App) Chatty() bool {
	return !a.Quiet && (a.Verbose || IsTerminal(a.Out))
}

// Watched reports whether a person sees progress.
func (a *App) Watched() bool { return !a.Quiet && !a.JSON && IsTerminal(a.Err) }

// Follow draws a progress line until the function that it returns is called, if somebody watches.
func (a *App) Follow(m progress.Meter) (stop func()) {
	if !a.Watched() {
		return func() {}
	}
	above, end := progress.Draw(a.Err, m)
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

// IsTerminal reports whether a person is at the other end.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Columns returns how wide a terminal is that is wide enough to break lines for; 0: it is none.
func Columns(f *os.File) int {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= 40 {
		return width
	}
	return 0
}

// Print writes to standard output, and fails when that fails.
func (a *App) Print(f func(w io.Writer)) error {
	w := bufio.NewWriter(a.Out)
	f(w)
	return Flush(w)
}

// Flush writes what is left for standard output, and says so when that fails.
func Flush(w *bufio.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// MadeUntold is err, the failure to tell of an archive that was made: whoever reads no more must not take it for no archive.
func MadeUntold(made *repo.Archive, err error) error {
	if err == nil {
		return nil
	}
	return outcome.Problems{What: fmt.Sprintf("archive %s was made, but not told of: %v", made.ID, err)}
}

// Result prints one line of a result at once: above a running progress line, if both go to the terminal.
func (a *App) Result(line string) error {
	a.messages.Lock()
	defer a.messages.Unlock()
	var to io.Writer = a.Out
	if a.messages.to != nil && IsTerminal(a.Out) {
		to = a.messages.to
	}
	if _, err := fmt.Fprintln(to, line); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// EncodeJSON returns what --json prints of a value, without a newline at its end.
func EncodeJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

// PrintJSON prints a value as --json has it.
func (a *App) PrintJSON(v any) error {
	b, err := EncodeJSON(v)
	if err != nil {
		return err
	}
	return a.Print(func(w io.Writer) { fmt.Fprintf(w, "%s\n", b) })
}

// OrNone has JSON print no strings as [], not as null.
func OrNone(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

// Ownership says who will own what is restored: only root can give files away.
func (a *App) Ownership(numeric bool) local.Ownership {
	switch {
	case !a.IsRoot:
		return local.None
	case numeric:
		return local.Numeric
	}
	return local.ByName
}
