package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/tempdir"
)

func TestRelinked(t *testing.T) {
	here := func(base string) bool { return strings.HasPrefix(base, "here.") }
	for _, c := range []struct {
		text  string
		index bool
		want  string
		wrong bool
	}{
		{"/var/lib/mysql/here.000001\n./here.000002\nhere.000003\n", true, "./here.000001\n./here.000002\n./here.000003\n", false},
		{"/var/log/gone.000001\n./gone.000002\n", true, "", false},
		{"/var/log/gone.000001\n./here.000002\n", true, "", true},
		{"../other/here.000001\n./here.000002\n", true, "", true},
		{"../here.000001\n", true, "", false}, // none is here
		{"5\n./here.000002\n4\nm-bin.000001\n", false, "5\n./here.000002\n4\nm-bin.000001\n", false},
		{"/srv/source/here.000002\n4\n", false, "./here.000002\n4\n", false},
		{"/srv/source/gone.000002\n4\n", false, "", true},
		{"", true, "", false},
	} {
		got, err := relinked(c.text, "./", c.index, here)
		if got != c.want || c.wrong != errors.Is(err, ErrUnsafe) {
			t.Errorf("%q becomes %q, %v", c.text, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for text, good := range map[string]bool{
		"[mysqld]\ninnodb_page_size=8192\ninnodb-undo-directory=/srv/undo\n": true,
		"innodb_data_file_path=ibdata1:12M;ibdata2:10M:autoextend":           true,
		"innodb_data_file_path=/srv/ibdata1:12M:autoextend":                  false,
		"innodb_data_file_path=a:12M;../ibdata1:12M:autoextend":              false,
		`innodb_data_file_path="/srv/ibdata1":12M`:                           false,
		"innodb_data_home_dir=..":                                            false,
		"plugin_load=evil.so":                                                false,
		"!include /etc/passwd":                                               false,
	} {
		set, err := parseSettings(text)
		if good != (err == nil) || err != nil && !errors.Is(err, ErrUnsafe) {
			t.Errorf("%q: %v, %v", text, set, err)
		}
		if d, ok := set["innodb_undo_directory"]; ok && d != "./" {
			t.Errorf("%q: %v", text, set)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		recorded, tool string
		newer, good    bool
	}{
		{"10.11.19-MariaDB", "10.11.19", false, true}, {"mariadb-backup based on MariaDB server 10.11.6-MariaDB debian-linux-gnu (x86_64)", "10.11.19", true, true},
		{"10.11.20", "10.11.19", false, false}, {"10.6.19", "10.11.19", false, false}, {"11.8.2", "10.11.19", false, false}, {"", "10.11.19", false, false}, {"none", "1.2.3", false, false},
	} {
		newer, err := Tool{Version: c.tool}.Fits(c.recorded)
		if newer != c.newer || c.good != (err == nil) || err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("%s for %s: %v, %v", c.tool, c.recorded, newer, err)
		}
	}
	temp, err := tempdir.New(t.TempDir())
	must(t, err)
	if _, err := FindTool(t.Context(), "true", temp); err == nil {
		t.Error("true is a tool")
	}
	if _, err := FindTool(t.Context(), "/nowhere/mariadb-backup", temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no tool: %v", err)
	}
}

// A tool that ends well, and does not say that it is complete, has prepared nothing.
func TestLyingTool(t *testing.T) {
	temp, err := tempdir.New(t.TempDir())
	must(t, err)
	for script, want := range map[string]string{
		"echo no >&2": "without saying that it is complete", "echo completed OK! >&2; exit 1": "exit status 1", "echo '[ERROR] the disk' >&2; exit 1": "the disk",
	} {
		program := filepath.Join(t.TempDir(), "tool")
		must(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		d, err := Claim(filepath.Join(t.TempDir(), "d"), "one")
		must(t, err)
		err = d.Prepare(t.Context(), PrepareOptions{Tool: Tool{Program: program}, Temp: temp})
		if err == nil || !strings.Contains(err.Error(), want) || d.Stage() != Preparing {
			t.Errorf("%s: %v, %s", script, err, d.Stage())
		}
		d.Close()
	}
}

// Whatever a backup's text files say, nothing leads out of the folder.
func FuzzTexts(f *testing.F) {
	f.Add("/var/lib/mysql/here.000001\n../here.000002\n")
	f.Add("innodb_data_file_path=ibdata1:12M;../x\n")
	f.Fuzz(func(t *testing.T, text string) {
		here := func(base string) bool { return strings.HasPrefix(base, "here") }
		if to, err := relinked(text, "./", true, here); err == nil {
			for line := range strings.Lines(to) {
				if line != "\n" && (!strings.HasPrefix(line, "./here") || strings.Contains(line[2:], "/")) {
					t.Errorf("%q becomes %q", text, to)
				}
			}
		}
		if set, err := parseSettings(text); err == nil {
			for name, value := range set {
				for part := range strings.SplitSeq(value, ";") {
					if strings.HasPrefix(part, "/") || strings.HasPrefix(part, "../") {
						t.Errorf("%q has %s=%s", text, name, value)
					}
				}
			}
		}
	})
}

// A tool sets up no more memory than its files can fill.
func TestEnough(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	must(t, root.Mkdir("shop", 0o700))
	for name, size := range map[string]int64{"ibdata1": 70 << 20, "shop/a.ibd": 80 << 20} {
		must(t, root.WriteFile(name, nil, 0o600))
		must(t, os.Truncate(filepath.Join(root.Name(), name), size))
	}
	must(t, root.Symlink("ibdata1", "link"))
	files, err := bytesIn(root)
	must(t, err)
	for memory, want := range map[uint64]uint64{16 << 30: 300 << 20, 200 << 20: 200 << 20} {
		if got := enough(memory, files); got != want {
			t.Errorf("of %d: %d, not %d", memory, got, want)
		}
	}
	if got := enough(16<<30, 1); got != leastMemory {
		t.Errorf("for a file of one byte: %d", got)
	}
}
