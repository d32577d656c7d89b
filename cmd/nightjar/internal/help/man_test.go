package help_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/help"
)

// hostile are lines that mean something to roff.
var hostile = []string{
	`.so /etc/passwd`, `'br`, `a\fBb`, `\\n(yr`, `\`, `"quoted" words`, `-x --y`, `don't`, "`sh`", `^~`, `… ⌘`, `.\" no comment`, `%1$s`, "\x1b[31mred",
}

// TestManual wants a page to say what the command says, whatever is in it, without a warning of man.
func TestManual(t *testing.T) {
	for _, program := range []string{"man", "groff"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip("SKIPPED, NOTHING TESTED: ", err)
		}
	}
	for _, text := range hostile {
		root := &cobra.Command{Use: "prog", Short: "Short is " + text, Long: text + "\n\nMore:\n\n  " + text + "\n  " + text + "\n\nend", Example: "  " + text}
		c := &cobra.Command{Use: "sub " + text, Short: text, Long: "Some.\n\n" + text, Run: func(*cobra.Command, []string) {}}
		c.Flags().String("flag", text, text)
		c.Flags().BoolP("switch", "s", false, "a `NAME` of "+text)
		root.AddCommand(c)
		want := strings.Join(strings.Fields(strings.ReplaceAll(text, "\x1b", " ")), " ")
		for c, times := range map[*cobra.Command]int{root: 5, c: 5} {
			var page bytes.Buffer
			if err := (help.Manual{Date: time.Unix(1e9, 0), Version: text}).Write(&page, c); err != nil {
				t.Fatal(err)
			}
			for _, b := range page.Bytes() {
				if b >= 0x7f || b < ' ' && b != '\n' {
					t.Fatalf("%q: a page with byte %#x", text, b)
				}
			}
			cmd := exec.Command("man", "--warnings", "-l", "-")
			cmd.Env = append(os.Environ(), "MANWIDTH=400", "LC_ALL=C.UTF-8", "MANPAGER=cat", "GROFF_NO_SGR=1")
			cmd.Stdin = &page
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil || said.Len() > 0 {
				t.Errorf("man of %q: %v\n%s", text, err, said.String())
			}
			got := strings.Join(strings.Fields(string(out)), " ")
			if n := strings.Count(got, want); n < times {
				t.Errorf("the page of %s shows %q %d times, %d wanted:\n%s", c.Name(), want, n, times, out)
			}
			if strings.Contains(got, "root:") {
				t.Errorf("a page includes a file:\n%s", out)
			}
		}
	}
}

// TestFill breaks lines by words, and leaves those alone that are set.
func TestFill(t *testing.T) {
	const text = "One two three\nfour five.\n\n  set   as it is, and long\n  too\n\na-word-that-is-longer-than-a-line x"
	const want = "One two\nthree four\nfive.\n\n  set   as it is, and long\n  too\n\na-word-that-is-longer-than-a-line\nx"
	if got := help.Fill(text, 10); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestManualExamples wants examples to fit a terminal of 80 columns, and to be the same command lines; and the date to be told from a long version.
func TestManualExamples(t *testing.T) {
	const example = "  prog --first one --second 'two -x words' --third three --fourth four --fifth five\n  prog > /a/path/that/is/so/long/that/it/must/go/to/a/line/of/its/own/below/it\n  short -x"
	const want = "  prog \\-\\-first one \\-\\-second \\(aqtwo \\-x words\\(aq \\-\\-third three \\e\n      \\-\\-fourth four \\-\\-fifth five\n" +
		"  prog > \\e\n      /a/path/that/is/so/long/that/it/must/go/to/a/line/of/its/own/below/it\n  short \\-x\n"
	var page bytes.Buffer
	c := &cobra.Command{Use: "prog", Short: "Short", Example: example, Run: func(*cobra.Command, []string) {}}
	if err := (help.Manual{Date: time.Unix(1e9, 0), Version: "1.2.3+4.gabcdef0"}).Write(&page, c); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), want) {
		t.Errorf("no\n%s\nin:\n%s", want, page.String())
	}
	if first, _, _ := strings.Cut(page.String(), "\n"); !strings.Contains(first, `"prog 1.2.3"`) {
		t.Errorf("the page begins %s", first)
	}
}
