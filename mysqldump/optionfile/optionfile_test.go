package optionfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// theirs is what MariaDB's own reader makes of a file, and whether it takes it.
func theirs(t testing.TB, path string) (printed string, ok bool) {
	t.Helper()
	cmd := exec.Command("my_print_defaults", append([]string{"--defaults-file=" + path}, clientGroups...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return stdout.String(), err == nil
}

// ours is the same of this package.
func ours(path string) (printed string, warnings []error, err error) {
	f := Files{Only: path}
	options, warnings, err := f.Read()
	if err != nil {
		return "", warnings, err
	}
	var b strings.Builder
	for _, o := range options {
		if o.Own {
			continue
		}
		b.WriteString("--" + o.Name)
		if o.Value != nil {
			b.WriteString("=" + *o.Value)
		}
		b.WriteString("\n")
	}
	return b.String(), warnings, nil
}

func compare(t *testing.T, path string) {
	t.Helper()
	want, taken := theirs(t, path)
	got, _, err := ours(path)
	if (err == nil) != taken {
		t.Errorf("read: %v, the clients take it: %v", err, taken)
	} else if taken && got != want {
		t.Errorf("read\n%q, the clients\n%q", got, want)
	}
}

func TestAsTheClientsRead(t *testing.T) {
	for name, content := range map[string]string{
		"plain":               "[client]\nuser=root\nhost = db\n\tport\t=\t3307\t\n",
		"comments":            "# one\n; two\n  # three\n[client] # four\nuser=root # five\nhost=db ; six\nsocket=a#b\n",
		"quotes":              "[client]\na=\"x y\"\nb='x y'\nc='x\"\nd=\"\ne=\"\"\nf='a' 'b'\ng=\"a\"b\nh=it's # no comment\ni=\"a\\\"#b\" # c\nj='\\\\' # d\n",
		"escapes":             `[client]` + "\n" + `a=\\ \n\t\r\b\s\"\'\q` + "\n" + `b=\\n` + "\n" + `c=\q\n` + "\n" + `d="end\"` + "\n" + `e="end\\"` + "\n" + `f=end\` + "\n",
		"spaces":              "[client]\n\va = \f1\r\n b= \xa02\xa0\nc=\xc3\xa0\nd\xa0\n",
		"equals":              "[client]\n=x\na==\nb=c=d\nc\nd =\n= \n",
		"groups":              "[mysql]\na=1\n[client]\nb=1\n[client-server]\nc=1\n[client-mariadb]\nd=1\n[CLIENT]\ne=1\n[ client ]\nf=1\n[client ]\ng=1\n[client]h=1\n[]\ni=1\n[client-]\nj=1\n[clien]\nk=1\n[client\xa0]\nl=1\n",
		"nightjar's":          "[client]\na=1\n[nightjar]\nb=1\n",
		"no group":            "user=root\n",
		"group that is open":  "[client\nuser=root\n",
		"colon":               "[client]\nport:3307\n",
		"no end of line":      "[client]\nuser=root",
		"nothing":             "",
		"byte order mark":     "\xef\xbb\xbf[client]\nuser=root\n",
		"long":                "[client]\nuser=" + strings.Repeat("x", maxLine-5) + "\n",
		"directives":          "[client]\n!bogus\n!\n!!include x\n!includeX y\n!INCLUDE z\na=1\n",
		"directive, no path":  "[client]\n!include\na=1\n",
		"directive, no space": "[client]\n!include   \n",
		"folder, none":        "[client]\n!includedir /nonexistent\na=1\n",
		"file, none":          "[client]\n!include /nonexistent\na=1\n",
		"prefixes":            "[client]\nloose-x\nskip_ssl\nloose_skip-ssl=0\n",
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, write(t, filepath.Join(t.TempDir(), "my.cnf"), content))
		})
	}
}

func TestIncludedAsTheClientsDo(t *testing.T) {
	dir := t.TempDir()
	in := func(name, content string) string { return write(t, filepath.Join(dir, name), content) }
	in("d/z.cnf", "[client]\nuser=z\n!include "+dir+"/other\nlast=1\n")
	in("d/a.cnf", "[client]\nuser=a\n")
	in("d/.b.cnf", "[client]\nuser=hidden\n")
	in("d/B.CNF", "[client]\nuser=upper\n")
	in("d/cnf", "[client]\nuser=none\n")
	in("d/c.cnf.bak", "[client]\nuser=old\n")
	in("d/broken.cnf", "[client]\nbefore=1\n[open\nafter=1\n")
	must(t, os.Mkdir(filepath.Join(dir, "d/folder.cnf"), 0o755))
	must(t, os.Chmod(in("d/world.cnf", "[client]\nuser=anybody\n"), 0o666))
	in("other", "[mysql]\na=1\n[client]\nincluded=1\n")
	main := in("my.cnf", "[client]\nuser=first\n!includedir "+dir+"/d\nuser=last\n! include  "+dir+"/other  \n!include "+dir+"/other # x\n")
	compare(t, main)
	_, warnings, _ := ours(main)
	if said := fmt.Sprint(warnings); !strings.Contains(said, "world.cnf: everybody may write it") || !strings.Contains(said, "broken.cnf: line 3") {
		t.Errorf("warnings: %v", warnings)
	}
	loop := in("loop.cnf", "[client]\nx=1\n!include "+dir+"/loop.cnf\n")
	compare(t, loop)
	if _, warnings, err := ours(loop); err != nil || len(warnings) != 1 {
		t.Errorf("a loop: %v, warnings %v", err, warnings)
	}
}

// Files that nobody would write by hand, from the letters that mean something.
func TestAsTheClientsReadAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "b=", "=", "\"", "'", "\\", "#", ";", " ", "\t", "\xa0", "\\n", "\\\"", "\r"}
	path := filepath.Join(t.TempDir(), "my.cnf")
	for range 60 {
		content := "[client]\n"
		for range 30 {
			text := ""
			for range r.IntN(12) {
				text += letters[r.IntN(len(letters))]
			}
			if !strings.HasPrefix(trim(text), "=") { // they read before the beginning of a name that is empty
				content += text + "\n"
			}
		}
		write(t, path, content)
		if compare(t, path); t.Failed() {
			t.Fatalf("of\n%q", content)
		}
	}
}

// What goes beyond what they read is refused, and not cut.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	bomb := filepath.Join(dir, "bomb.cnf")
	for name, content := range map[string]string{
		"line":    "[client]\npassword=" + strings.Repeat("x", maxLine) + "\n",
		"file":    "[client]\n" + strings.Repeat("# long\n", maxFile/6),
		"NUL":     "[client]\npassword=secret\x00tail\n",
		"options": "[client]\n" + strings.Repeat("x\n", maxOptions+1),
		"files":   "[client]\n" + strings.Repeat("!include "+bomb+"\n", 3),
	} {
		_, _, err := ours(write(t, bomb, content))
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: the error quotes the line: %v", name, err)
		}
	}
}

func TestUsualFiles(t *testing.T) {
	dir := t.TempDir()
	f := Files{System: dir + "/etc", Home: dir + "/home", ServerHome: dir + "/server"}
	read := func() (values string, warnings []error) {
		t.Helper()
		options, warnings, err := f.Read()
		must(t, err)
		for _, o := range options {
			values += *o.Value
		}
		return values, warnings
	}
	if got, warnings := read(); got != "" || len(warnings) > 0 {
		t.Errorf("of no file: %q, %v", got, warnings)
	}
	write(t, dir+"/home/.my.cnf", "[client]\na=4\n[nightjar]\na=5\n[client]\n!include ~/more.cnf\n")
	write(t, dir+"/home/more.cnf", "[client]\na=6\n[clientX]\na=7\n[nightjar-source]\na=8\n")
	write(t, dir+"/server/my.cnf", "[client-server]\na=3\n[nightjarX]\na=9\n")
	write(t, dir+"/etc/mysql/my.cnf", "[client-mariadb]\na=2\n")
	write(t, dir+"/etc/my.cnf", "[client]\na=1\n[mysqld]\na=0\n")
	for want, change := range map[string]func(){
		"123465":   func() {},
		"12346795": func() { f.Suffix = "X" },
		"8":        func() { f.Groups = []string{"nightjar-source"} },
		"465":      func() { f.Only = dir + "/home/.my.cnf" },
		"":         func() { f.None = true },
	} {
		before := f
		change()
		if got, warnings := read(); got != want || len(warnings) > 0 {
			t.Errorf("options %q, warnings %v, want %q", got, warnings, want)
		}
		f = before
	}
	must(t, os.Chmod(dir+"/home/.my.cnf", 0o606))
	if got, warnings := read(); got != "123" || len(warnings) != 1 {
		t.Errorf("with a file that everybody may write: %q, %v", got, warnings)
	}
	for _, only := range []string{dir + "/home/.my.cnf", dir + "/missing", dir} {
		if _, _, err := (&Files{Only: only}).Read(); err == nil {
			t.Errorf("%s is taken as the only file", only)
		}
	}
}

// A shell's <(…) keeps an option file off the disk.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = w.WriteString("[client]\nuser=piped\n")
	must(t, err)
	w.Close()
	if got, _, err := ours(fmt.Sprintf("/dev/fd/%d", r.Fd())); err != nil || got != "--user=piped\n" {
		t.Errorf("read %q, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[client]\nuser = \"a\\\"b\" # c\n!include x\n"))
	f.Add([]byte("[a]\n=\\\n'\"#\n[\xa0"))
	f.Fuzz(func(t *testing.T, content []byte) {
		n := 0
		_ = parse(content, func(l line) error {
			if n++; l.number < n || len(l.name) > maxLine || l.value != nil && len(*l.value) > maxLine {
				t.Errorf("line %+v", l)
			}
			return nil
		})
	})
}

// What is written for programs is read as it was meant.
func FuzzLine(f *testing.F) {
	for _, v := range []string{"", " ", "a#b", `\`, `\\n`, `"`, `'"\'`, "a\nb\r\t\b", "\xa0x\xa0", "à", "a=b", "[x]"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := Line("password", value)
		if err != nil {
			return
		}
		l, said, err := parseLine([]byte(strings.TrimSuffix(text, "\n")))
		if err != nil || !said || l.name != "password" || l.value == nil || *l.value != value {
			t.Errorf("%q is written %q and read %+v, %v", value, text, l, err)
		}
	})
}
