package jobfile

import (
	"bytes"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// Everything that is wrong is told at once, each with its place and what may be meant.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"[repository]\nurl = \"s3://b/p\"\nregoin = \"eu-west-1\"\n\n[limit]\nupload = \"5M\"\n", []string{
			"line 3, column 1: repository.regoin: unknown key: is region meant?",
			"line 5, column 2: limit: unknown key: is limits meant?",
		}},
		{"[files.etc]\npaths = \"/etc\"\nkeep-daily = 7\nschedule = \"0 25 * * *\"\nrandom-delay = \"1 hour\"\none-file-system = 1\ncompression = \"beter\"", []string{
			`line 2, column 1: files.etc.paths: it is a string, where a list is wanted: ["/etc"]`,
			"line 3, column 1: files.etc.keep-daily: unknown key: is keep.daily meant?",
			`line 4, column 1: files.etc.schedule: read the cron expression "0 25 * * *"`,
			`line 5, column 1: files.etc.random-delay: age "1 hour"`,
			"line 6, column 1: files.etc.one-file-system: it is a number, where true or false is wanted",
			`line 7, column 1: files.etc.compression: "beter" is none of fastest, default, better: is better meant?`,
		}},
		{"[files]\npaths = [\"/etc\"]", []string{"files.paths: it is a list, where the table of a job is wanted: a job has a name, [files.NAME]"}},
		{"[files.x]\n[stream.x]\n[copy.y]\n[mysql-dump.'a b']\n[ebs.e]\ncopies-keep.daily = 7", []string{
			"line 1, column 8: files.x.paths: it is missing",
			"line 2, column 9: stream.x: there is a job of that name already, files.x",
			"stream.x.name: it is missing", "stream.x.command: it is missing",
			"line 3, column 7: copy.y.to: it is missing",
			`line 4, column 13: mysql-dump."a b": a job's name`,
			"ebs.e.schedule: it is missing", "ebs.e.to-region: it is missing: copies-keep",
		}},
		{"[hooks]\nfailure = [\"systemctl stop x\", []]\nbefore = [[1]]\nafter=\"x\"", []string{
			"line 2, column 1: hooks.failure: read hook: a string is an http:// or https:// URL",
			"hooks.before: read hook: a command is a list of strings", "hooks.after: it is a string, where a list is wanted",
		}},
		{"[limits]\nupload = \"fast\"\nconnections = -1\n[folders]\ntemp = \"tmp\"\n[repository]\nendpoint = \"eu.example\"\nurl=\"bucket\"\n[keys]\nkit=\"\"", []string{
			`limits.upload: size "fast"`, "limits.connections: -1: it is from 0 to", `folders.temp: path "tmp"`, "repository.endpoint: it is no http://",
			"repository.url: it is neither an absolute path nor a URL", "keys.kit: it is empty",
		}},
		{"['a\u202e\\']\n[files.\"x\\ty" + strings.Repeat("ü", 50) + "\"]", []string{"line 1, column 2: \"a\u202e\\\": unknown key", "files.\"x\ty" + strings.Repeat("ü", 30) + "…\": a job's name"}},
		{"[repository\n", []string{"line 1, column "}},
		{"a = 1\na = 2\n", []string{"line 2"}},
		{strings.Repeat("[", 60), []string{"more than 50 brackets"}},
		{"[a" + strings.Repeat(".a", 400_000) + "]", []string{"more than 50 parts"}}, // which would take gigabytes
		{"x = [{y = {a" + strings.Repeat(".'a'", 60) + " = 1}}]", []string{"more than 50 parts"}},
		{"[forget.all]\nkeep = {}\n[mysql-dump.d]\nkeep = { dayly = 1 }\nlock-wait = \"30\"\nddl-retries = 2.5\nmax-lock = 1979-05-27", []string{
			`line 2, column 1: forget.all.keep: no rule`, "line 4, column 10: mysql-dump.d.keep.dayly: unknown key: is daily meant?", `mysql-dump.d.lock-wait: duration "30"`,
			"mysql-dump.d.ddl-retries: it is a number with a point, where a number is wanted", "mysql-dump.d.max-lock: it is a date or a time, where a string is wanted",
		}},
	} {
		_, err := Parse("/x.toml", []byte(c.text))
		var faults *Faults
		if !errors.As(err, &faults) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		for i, f := range faults.All {
			if i >= len(c.want) || !strings.Contains(f.String(), c.want[i]) {
				t.Errorf("%q: fault %d is %q", c.text, i, f)
			}
		}
		if len(faults.All) < len(c.want) {
			t.Errorf("%q: found only %q", c.text, faults.All)
		}
	}
}

// What is right stands, whatever else is wrong; and faults of jobs are told apart from those of all commands.
func TestPartial(t *testing.T) {
	f, err := Parse("/x.toml", []byte("[repository]\nurl = \"/srv/backup\"\n[files.etc]\npath = [\"/etc\"]\n[check.weekly]\nsample = \"5%\"\n"))
	var faults *Faults
	if !errors.As(err, &faults) || faults.General() || f.Repository.URL != "/srv/backup" || f.Check["weekly"].Sample != "5%" {
		t.Errorf("%+v, %v", f, err)
	}
	if f.At("check", "weekly", "sample") != (Position{6, 1}) || f.At("check", "weekly", "nothing") != (Position{}) {
		t.Errorf("sample stands at %+v", f.At("check", "weekly", "sample"))
	}
	if _, err = Parse("/x.toml", []byte("[repository]\nurl = 1\n")); !errors.As(err, &faults) || !faults.General() {
		t.Error(err)
	}
}

// The library, told to be strict, reads what Parse does.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "[repository]\nurl = \"s3://b/p\"\nstorage-class = [\"content=STANDARD_IA\"]\npath-style = false\n", "[files.etc]\npaths = [\"/etc\"]\nkeep = { daily = 7 }\n",
		"[mysql-dump]\nall = { schedule = \"0 1 * * *\", ddl-retries = 0, accounts = true, server = \"/run/x.sock\" }\n",
		"[hooks]\nfailure = [\"https://hc.example/1\", [\"mail\", \"root\"]]\n[ebs.e]\nschedule=\"@daily\"\nto-region=\"eu-west-1\"\ncopies-keep.within=\"30D\"\n",
		"files.\"a.b\".paths = ['''/x''']\nfiles.c.paths=['/']\n", "[[files]]\n", "[files]\n[[files.x]]\n", "a = [[[{x=1}]]]", "[keys]\npassphrase = \"\\u0000\"\n", "x = 1979-05-27T07:32:00Z",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Parse("/x.toml", content)
		if err != nil {
			var faults *Faults
			if !errors.As(err, &faults) || len(faults.All) == 0 || err.Error() == "" {
				t.Fatalf("%q: %v", content, err)
			}
			return
		}
		want := &File{Path: "/x.toml", at: got.at}
		d := toml.NewDecoder(strings.NewReader(string(content))).DisallowUnknownFields()
		if err := d.Decode(want); err != nil || !reflect.DeepEqual(emptied(got), emptied(want)) {
			t.Fatalf("%q is read as %+v, by the library as %+v, %v", content, got, want, err)
		}
	})
}

// emptied has no difference between lists and tables that are empty, and those that are not there.
func emptied(f *File) string {
	v := reflect.ValueOf(f).Elem()
	for _, field := range fieldsOf(v.Type()) {
		if x := v.FieldByIndex(field.index); x.Kind() == reflect.Map && x.Len() == 0 {
			x.SetZero()
		}
	}
	b, _ := toml.Marshal(f)
	return strings.ReplaceAll(string(b), " = []\n", "\n")
}

func TestAccess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: must be root")
	}
	const secret, plain = "[keys]\npassphrase = \"x\"\n", "[limits]\nconnections = 2\n"
	for _, c := range []struct {
		name, text string
		mode, dir  os.FileMode
		uid, gid   int
		want, mend string
	}{
		{"good", secret, 0o600, 0o755, 0, 0, "", ""},
		{"readable without secrets", plain, 0o644, 0o755, 0, 0, "", ""},
		{"secret for all", secret, 0o644, 0o755, 0, 0, "has a secret (keys.passphrase)", "chmod 0600 "},
		{"secret for a group", secret, 0o640, 0o755, 0, 4, "has a secret", "chmod 0600 "},
		{"another's", plain, 0o644, 0o755, 65534, 0, "belongs to user 65534", "chown root "},
		{"written by a group", plain, 0o664, 0o755, 0, 4, "written by group 4", "chmod g-w "},
		{"written by root's group", plain, 0o664, 0o755, 0, 0, "", ""},
		{"written by all", plain, 0o666, 0o755, 0, 0, "written by everybody", "chmod o-w "},
		{"folder written by all", plain, 0o644, 0o777, 0, 0, "written by everybody", "chmod o-w "},
		{"folder that is sticky", plain, 0o644, 0o777 | os.ModeSticky, 0, 0, "", ""},
		{"URL with a password", "[repository]\nurl = \"sftp://me:word@h/x\"\n", 0o644, 0o755, 0, 0, "has a secret (repository.url)", "chmod 0600 "},
		{"URL of a hook", "[hooks]\nafter = [\"https://hc.example/3f2c\"]\n", 0o644, 0o755, 0, 0, "has a secret (hooks.after)", "chmod 0600 "},
		{"token of a hook", "[files.x]\npaths=[\"/\"]\nhooks.failure = [[\"curl\", \"-HAuthorization: Bearer x\", \"h\"]]\n", 0o644, 0o755, 0, 0, "files.x.hooks.failure", "chmod 0600 "},
		{"login of a hook", "[hooks]\nafter = [[\"curl\", \"-u\", \"me:word\", \"h\"]]\n", 0o644, 0o755, 0, 0, "hooks.after", "chmod 0600 "},
		{"command that prints", "[keys]\npassphrase-command = \"curl -H 'X-Token: x' h\"\n", 0o644, 0o755, 0, 0, "keys.passphrase-command", "chmod 0600 "},
		{"command of a stream", "[stream.x]\nname = \"x\"\ncommand = [\"/usr/bin/mysqldump\", \"-u\", \"me\", \"-pword\", \"shop\"]\n", 0o644, 0o755, 0, 0, "stream.x.command", "chmod 0600 "},
		{"command before", "[ebs.x]\nschedule = \"@daily\"\npre = \"stop --password=word\"\n", 0o644, 0o755, 0, 0, "ebs.x.pre", "chmod 0600 "},
		{"server with a password", "[mysql-dump.x]\nserver = \"me:word@h:3306\"\n", 0o644, 0o755, 0, 0, "mysql-dump.x.server", "chmod 0600 "},
		{"harmless commands", "[stream.x]\nname = \"x\"\ncommand = [\"mysqldump\", \"-u\", \"me\", \"-P\", \"3306\", \"--port=1\"]\n[mysql-dump.y]\nserver = \"me@h:3306\"\n[keys]\npassphrase-command = \"pass show nightjar\"\n", 0o644, 0o755, 0, 0, "", ""},
		{"commands that have no secret", "[stream.x]\nname = \"x\"\ncommand = [\"pg_dump\", \"--no-password\", \"shop\"]\n[mysql-dump.y]\npassword-command = \"vault kv get -field=password secret/db\"\n" +
			"[mysql-dump.z]\npassword-command = \"aws secretsmanager get-secret-value --secret-id=db --query SecretString\"\n[keys]\npassphrase-command = \"cat /root/password\"\n", 0o644, 0o755, 0, 0, "", ""},
		{"command with a password", "[keys]\npassphrase-command = \"get --password word x\"\n", 0o644, 0o755, 0, 0, "keys.passphrase-command", "chmod 0600 "},
		{"variable with a token", "[mysql-dump.y]\npassword-command = \"VAULT_TOKEN=hvs.x vault read x\"\n", 0o644, 0o755, 0, 0, "mysql-dump.y.password-command", "chmod 0600 "},
		{"harmless hook", "[hooks]\nafter = [[\"systemctl\", \"reload\", \"nginx\"]]\n", 0o644, 0o755, 0, 0, "", ""},
	} {
		dir := filepath.Join(t.TempDir(), "etc")
		path := filepath.Join(dir, "nightjar.toml")
		for _, err := range []error{
			os.Mkdir(dir, 0o755), os.WriteFile(path, []byte(c.text), 0o600), os.Chown(path, c.uid, c.gid), os.Chmod(path, c.mode), os.Chmod(dir, c.dir),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := Read(path)
		var access *AccessError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
		case !errors.As(err, &access) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(access.Mend, c.mend):
			t.Errorf("%s: %v", c.name, err)
		}
		if c.name != "folder written by all" {
			continue
		}
		link := filepath.Join(t.TempDir(), "link") // in a good folder, to a file in a bad one
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(link); !errors.As(err, &access) {
			t.Errorf("%s, by a link: %v", c.name, err)
		}
	}
}

// Places are told right in whatever order they are asked for.
func TestPlaces(t *testing.T) {
	content := []byte("a.b = 1 # c\n\n[x]\r\n  y = { z = 1, 'ü' = [\n1,\n2] }\n\n[x.w]\nq = 2")
	place := placesIn(content)
	offsets := rand.Perm(len(content))
	for offset := range content {
		offsets = append(offsets, offset)
	}
	for _, offset := range offsets {
		before := content[:offset]
		want := Position{bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n')}
		if got := place(offset); got != want {
			t.Errorf("offset %d is %+v, want %+v", offset, got, want)
		}
	}
}
