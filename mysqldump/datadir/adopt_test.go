package datadir

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// laid makes a data directory of files.
func laid(t *testing.T, files map[string]string) (*Dir, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	d, err := Adopt(dir)
	if err == nil {
		t.Cleanup(d.Close)
	}
	return d, err
}

func TestAdopt(t *testing.T) {
	if _, err := laid(t, map[string]string{"x": ""}); !errors.Is(err, ErrNoData) {
		t.Error(err)
	}
	if _, err := laid(t, map[string]string{"ibdata1": "", Mark: "{}"}); !errors.Is(err, ErrUnfinished) {
		t.Error(err)
	}
	d, err := laid(t, map[string]string{
		"ibdata1": "", "old.index": "./old.1\n", "bin.index": "/var/lib/mysql/bin.1\n/var/lib/mysql/bin.2\n", "bin.1": "", "bin.2": "", "old.1": "", "relay.index": "",
		"auto.cnf": "[auto]\nserver-uuid=3E11FA47-71ca-11e1-9e33-c80aa9429562\n", "master.info": "", "mysqld.pid": "1",
	})
	must(t, err)
	l, err := net.Listen("unix", filepath.Join(d.Path(), "mysql.sock"))
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for range 2 {
		_, identity, err := d.Adapt()
		must(t, err)
		if identity != "3e11fa47-71ca-11e1-9e33-c80aa9429562" {
			t.Errorf("identity %q", identity)
		}
	}
	must(t, os.Chtimes(filepath.Join(d.Path(), "old.1"), day, day))
	list, logs, err := d.BinaryLogs("")
	if err != nil || list != "bin.index" || strings.Join(logs, " ") != "bin.1 bin.2" {
		t.Error(list, logs, err)
	}
	if text, err := d.Text("bin.index"); err != nil || text != "./bin.1\n./bin.2\n" {
		t.Errorf("%q %v", text, err)
	}
	must(t, d.Forget())
	for _, gone := range []string{"auto.cnf", "master.info", "mysqld.pid", "mysql.sock"} {
		if _, err := os.Lstat(filepath.Join(d.Path(), gone)); err == nil {
			t.Errorf("%s is there", gone)
		}
	}
}

func TestAdaptRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a log outside":   {"bin.index": "/var/log/mysql/bin.1\n./bin.2\n", "bin.2": ""},
		"a table outside": {"shop/orders.isl": "/fast/shop/orders.ibd"},
	} {
		files["ibdata1"] = ""
		d, err := laid(t, files)
		must(t, err)
		if _, _, err := d.Adapt(); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := laid(t, map[string]string{"ibdata1": ""})
	must(t, err)
	must(t, os.Symlink("/etc", filepath.Join(d.Path(), "shop")))
	if _, _, err := d.Adapt(); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link: %v", err)
	}
}

// A binary log outside of the data directory names the logs that are beside its list, and nothing else; a server would follow a link.
func TestLogs(t *testing.T) {
	for text, want := range map[string]string{
		"/var/log/mysql/bin.000001\n/var/log/mysql/bin.000002\n": "%[1]s/bin.000001\n%[1]s/bin.000002\n",
		"../log/bin.000002\n":                      "%[1]s/bin.000002\n",
		"/etc/passwd\n/var/log/mysql/bin.000002\n": "",
		"/var/log/mysql/bin.000009\n":              "",
		"/var/log/mysql/bin.link\n":                "",
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"bin.index": text, "bin.000001": "\xfebin", "bin.000002": "\xfebin", "other": ""} {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		if strings.Contains(text, "link") {
			must(t, os.Symlink("other", filepath.Join(dir, "bin.link")))
		}
		l, err := OpenLogs(dir)
		must(t, err)
		for range 2 {
			_, err = l.Adapt("bin.index")
			got, _ := l.d.Text("bin.index")
			if want != "" && (err != nil || got != strings.ReplaceAll(want, "%[1]s", dir)) || want == "" && (!errors.Is(err, ErrUnsafe) || got != text) {
				t.Errorf("%q becomes %q, %v", text, got, err)
			}
		}
		l.Close()
	}
}

// A table of MyISAM that was not closed is known by the count in its index file, whatever that holds beside.
func TestUnclosed(t *testing.T) {
	index := func(count, flags byte) string {
		b := make([]byte, 64)
		copy(b, "\xfe\xfe\x07\x01")
		b[25], b[26] = count, flags
		return string(b)
	}
	d, err := laid(t, map[string]string{
		"ibdata1": "", "db/open.MYI": index(1, 1), "db/whole.MYI": index(0, 1), "db/broken.MYI": index(0, 2), "db/short.MYI": "\xfe\xfe\x07", "db/none.MYI": strings.Repeat("x", 99), "db/open.MYD": "",
	})
	must(t, err)
	if got, err := d.Unclosed(); err != nil || strings.Join(got, " ") != "db/broken db/open" {
		t.Errorf("%q, %v", got, err)
	}
}
