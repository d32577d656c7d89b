package jobfile

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shared are the headings of what several kinds have, by the types.
var shared = map[string]any{
	"Every job": Common{}, "Jobs that make archives": Archiving{}, "Retention": Periods{}, "Retention by tags": Keep{}, "The login of a database server": Login{},
}

// required is what a table of the file needs beside the key that is shown.
var required = map[string]string{
	"files": `paths = ["/"]`, "stream": "name = \"x\"\ncommand = [\"x\"]", "copy": `to = "/x"`, "forget": "keep.last = 1", "ebs": "schedule = \"@daily\"\nto-region = \"eu-west-1\"",
}

var (
	row     = regexp.MustCompile("^\\| `([^`]+)` \\| `([^`]+)` \\| (.*) \\|$")
	ofTable = regexp.MustCompile("^`\\[([a-z-]+)(\\.NAME)?\\]`$")
)

// TestDoc holds doc/job-file.md to the file: each key stands under its heading, with an example that is good, and no other does; and so are the examples between.
func TestDoc(t *testing.T) {
	text, err := os.ReadFile("../../doc/job-file.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]reflect.Type{} // by their headings
	for heading, v := range shared {
		want[heading] = reflect.TypeOf(v)
	}
	file := reflect.TypeFor[File]()
	for _, f := range fieldsOf(file) {
		if of := file.FieldByIndex(f.index).Type; of.Kind() == reflect.Map {
			want["`["+f.key+".NAME]`"] = of.Elem().Elem()
		} else {
			want["`["+f.key+"]`"] = of
		}
	}
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		of := want[heading]
		delete(want, heading)
		var keys []string
		for line := range strings.Lines(body) {
			if m := row.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				keys = append(keys, m[1])
				goodExample(t, heading, m[1], m[2])
			} else if strings.HasPrefix(line, "| `") {
				t.Errorf("%s: a row of another form: %s", heading, line)
			}
		}
		if of == nil {
			if len(keys) > 0 {
				t.Errorf("%s: nothing of the file is called so", heading)
			}
			continue
		}
		for i := range of.NumField() {
			f := of.Field(i)
			key := f.Tag.Get("toml")
			at := slices.Index(keys, key)
			switch {
			case f.Anonymous || key == "-":
			case at < 0:
				t.Errorf("%s: %s is missing", heading, key)
			default:
				keys = slices.Delete(keys, at, at+1)
			}
		}
		if len(keys) > 0 {
			t.Errorf("%s: there is no %q", heading, keys)
		}
	}
	for heading := range want {
		t.Errorf("no heading is %s", heading)
	}
	examples := 0
	for i, block := range strings.Split(string(text), "```") {
		if content, ok := strings.CutPrefix(block, "toml\n"); ok && i%2 == 1 {
			examples++
			if _, err := Parse("/x.toml", []byte(content)); err != nil {
				t.Error(err)
			}
		}
	}
	if examples == 0 {
		t.Error("there is no example")
	}
}

// goodExample wants what a row shows to be taken.
func goodExample(t *testing.T, heading, key, value string) {
	t.Helper()
	table, line := "files", key+" = "+value
	switch m := ofTable.FindStringSubmatch(heading); {
	case m != nil:
		table = m[1]
	case strings.HasPrefix(heading, "Retention"):
		line = "keep." + line
	case strings.HasPrefix(heading, "The login"):
		table = "mysql-dump"
	}
	content := "[" + table + "]\n"
	if isKind(table) {
		content = "[" + table + ".x]\n"
		for more := range strings.Lines(required[table]) {
			if first, _, _ := strings.Cut(more, " "); first != key && !strings.HasPrefix(first, key+".") {
				content += strings.TrimSpace(more) + "\n"
			}
		}
	}
	if _, err := Parse("/x.toml", []byte(content+line+"\n")); err != nil {
		t.Errorf("%s: %q: %v", heading, content+line, err)
	}
}
