package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/commands/config"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/job"
	"nightjar/job/jobfile"
)

// enough is what a job of each kind has to have.
var enough = map[string]string{
	"files": `paths = ["/etc"]`, "stream": "name = \"x.sql\"\ncommand = [\"true\"]", "copy": `to = "s3://bucket/p"`, "forget": "keep.last = 7", "ebs": "schedule = \"@daily\"\nto-region = \"eu-west-1\"",
}

// beside is what a key does not go without, or does not go with.
var beside = map[string]string{
	"binlog.interval": "follow = true", "copy.sftp-config": `to = "sftp://h/p"`, "copy.sftp-key": `to = "sftp://h/p"`, "copy.sftp-known-hosts": `to = "sftp://h/p"`, "stream.name": `command = ["true"]`, "stream.command": `name = "x"`, "ebs.to-region": `schedule = "@daily"`, "ebs.host": "schedule = \"@daily\"\ninstance = \"i-0123\"",
}

// samples are values for keys that take but some.
var samples = map[string]string{
	"labels": `["a=b"]`, "storage-class": `["content=STANDARD_IA"]`, "server-lacks": `["checksums"]`, "volume-tags": `["a=b"]`, "completion-duration": `"15m"`, "max-freeze": `"10s"`, "threads": "3",
	"kind": `["files"]`, "server": `"/run/x.sock"`, "keep-since": `"30D"`, "hooks": "", "archive": `"latest"`, "kms-key": `"alias/x"`, "object-lock": `"30D"`, "path-style": "false", "exclude-from": `["/dev/null"]`, "exclude-table": `["a.b"]`, "sample": `"5%"`, "scratch": `"/tmp"`, "price": `["STANDARD_IA=0.0125"]`, "accounts": "false",
}

// notOfCommand are keys of every job that are for who runs it.
var notOfCommand = []string{"schedule", "random-delay", "catch-up", "hooks.before", "hooks.after", "hooks.failure"}

// TestJobFields has every key of every kind be a flag of its command, of a fitting type, or one that the command line says in another way; and every such line is one that the command takes.
func TestJobFields(t *testing.T) {
	a := newApp()
	a.Config = "none"
	root := commandTree(a)
	file := reflect.TypeFor[jobfile.File]()
	kinds := 0
	for i := range file.NumField() {
		kind := file.Field(i).Tag.Get("toml")
		if file.Field(i).Type.Kind() != reflect.Map || kind == "" {
			continue
		}
		kinds++
		base, f := jobIn(t, kind, enough[kind])
		command, _, err := root.Find(job.Command(base))
		if err != nil || !command.Runnable() || command == root {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if err := config.LookAt(context.Background(), a, bareCommand, f, job.Command(base)); err != nil {
			t.Errorf("%s: %q is refused: %v", kind, job.Command(base), err)
		}
		for _, leaf := range leaves(file.Field(i).Type.Elem().Elem(), nil) {
			checkLeaf(t, a, kind, command, leaf)
		}
	}
	if kinds < 12 {
		t.Errorf("there are %d kinds", kinds)
	}
}

// A leaf is a key that has a value.
type leaf struct {
	path []string
	flag string // empty: as the key
	is   string
	of   reflect.Type
}

func leaves(t reflect.Type, path []string) (all []leaf) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			some := leaves(f.Type, path)
			if f.Tag.Get("flag") == "-" {
				for j := range some {
					some[j].flag = "-"
				}
			}
			all = append(all, some...)
			continue
		}
		key := f.Tag.Get("toml")
		if !f.IsExported() || key == "-" {
			continue
		}
		here := append(slices.Clone(path), key)
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[jobfile.Schedule]() {
			all = append(all, leaves(f.Type, here)...)
			continue
		}
		all = append(all, leaf{here, f.Tag.Get("flag"), f.Tag.Get("is"), f.Type})
	}
	return all
}

func checkLeaf(t *testing.T, a *app.App, kind string, command *cobra.Command, x leaf) {
	t.Helper()
	key := strings.Join(x.path, ".")
	value := sample(x)
	text := key + " = " + value
	if more, said := beside[kind+"."+key]; said {
		text = more + "\n" + text
	} else if !strings.Contains("\n"+enough[kind], "\n"+key+" ") {
		text = enough[kind] + "\n" + text
	}
	j, f := jobIn(t, kind, text)
	without, _ := jobIn(t, kind, enough[kind])
	if slices.Contains(notOfCommand, key) {
		if kind != "ebs" && !slices.Equal(job.Command(j), job.Command(without)) { // whose schedule is its own matter
			t.Errorf("%s.%s changes the command line to %q", kind, key, job.Command(j))
		}
		return
	}
	if x.path[0] == "keep" && j.Keep != nil { // which forget is told
		line := append([]string{"forget"}, job.Flags(j.Keep)...)
		if err := config.LookAt(context.Background(), a, bareCommand, f, line); err != nil || len(line) != 2 {
			t.Errorf("%s.%s: %q: %v", kind, key, line, err)
		}
		return
	}
	if reflect.DeepEqual(job.Command(j), job.Command(without)) && !strings.Contains("\n"+enough[kind], "\n"+key+" ") {
		t.Errorf("%s.%s = %s: the command line has nothing of it: %q", kind, key, value, job.Command(j))
	}
	if err := config.LookAt(context.Background(), a, bareCommand, f, job.Command(j)); err != nil {
		t.Errorf("%s.%s: %q is refused: %v", kind, key, job.Command(j), err)
	}
	if at := slices.Index(job.Command(j), "--"); kind == "ebs" && at >= 0 {
		if err := config.LookAt(context.Background(), a, bareCommand, f, append([]string{"ebs", "take"}, job.Command(j)[at+1:]...)); err != nil {
			t.Errorf("%s.%s: %q is refused: %v", kind, key, job.Command(j), err)
		}
	}
	name := x.flag
	if name == "-" { // it is said otherwise
		return
	}
	if name == "" {
		name = x.path[len(x.path)-1]
	}
	flag := command.Flag(name)
	if flag == nil {
		t.Errorf("%s.%s: %s has no flag --%s", kind, key, command.CommandPath(), name)
	} else if wrong := unfit(x.of, flag); wrong != "" {
		t.Errorf("%s.%s: --%s %s", kind, key, name, wrong)
	}
}

// unfit returns why a flag takes no value of a type.
func unfit(of reflect.Type, flag *pflag.Flag) string {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	_, list := flag.Value.(pflag.SliceValue)
	isBool := flag.NoOptDefVal == "true"
	switch fits := map[reflect.Kind]bool{reflect.String: !list && !isBool && flag.Value.Type() != "int", reflect.Slice: list, reflect.Bool: isBool, reflect.Int: flag.Value.Type() == "int"}; {
	case !fits[of.Kind()]:
		return fmt.Sprintf("is of type %s, the key of type %s", flag.Value.Type(), of)
	}
	return ""
}

func sample(x leaf) string {
	key := x.path[len(x.path)-1]
	if s := samples[key]; s != "" {
		return s
	}
	switch x.is {
	case "age":
		return `"30D"`
	case "size":
		return `"5M"`
	case "share":
		return `"5%"`
	case "duration":
		return `"30s"`
	case "path", "place":
		return `"/x"`
	case "url":
		return `"https://x.example"`
	case "":
	default:
		words := strings.Split(x.is, "|")
		return `"` + words[len(words)-1] + `"`
	}
	switch {
	case key == "schedule":
		return `"@hourly"`
	case x.of == reflect.TypeFor[jobfile.Duration]():
		return `"1h"`
	case x.of == reflect.TypeFor[[]any]():
		return `[["true"]]`
	case x.of.Kind() == reflect.Slice:
		return `["x"]`
	case x.of.Kind() == reflect.Bool, x.of.Kind() == reflect.Pointer && x.of.Elem().Kind() == reflect.Bool:
		return "true"
	case x.of.Kind() == reflect.Int, x.of.Kind() == reflect.Pointer:
		return "3"
	}
	return `"x"`
}

func jobIn(t *testing.T, kind, text string) (jobfile.Job, *jobfile.File) {
	t.Helper()
	f, err := jobfile.Parse("/x.toml", []byte("["+kind+".x]\n"+text+"\n"))
	if err != nil {
		t.Fatalf("%s: %q: %v", kind, text, err)
	}
	return f.Jobs()[0], f
}

// TestGeneralFields has every key of the tables for all commands be a flag of the root, but for those whose tag says that it is none.
func TestGeneralFields(t *testing.T) {
	root := commandTree(newApp())
	for _, table := range []any{jobfile.Repository{}, jobfile.Keys{}, jobfile.Folders{}, jobfile.Limits{}} {
		for _, x := range leaves(reflect.TypeOf(table), nil) {
			name := x.flag
			if name == "" {
				name = x.path[0]
			}
			if name == "-" {
				continue
			}
			if flag := root.PersistentFlags().Lookup(name); flag == nil {
				t.Errorf("there is no flag --%s", name)
			} else if wrong := unfit(x.of, flag); wrong != "" {
				t.Errorf("--%s %s", name, wrong)
			}
		}
	}
}

// What a command would refuse is told with the line of the key that it is about, and all at once.
func TestLookAt(t *testing.T) {
	a := newApp()
	a.Config = filepath.Join(t.TempDir(), "nightjar.toml")
	write := func(text string) *jobfile.File {
		t.Helper()
		if err := os.WriteFile(a.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := jobfile.Read(a.Config)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := write(`[repository]
url = "/srv/x"
[mysql-dump.a]
max-lock = "100ms"
threads = 99
keep.last = 1
[copy.b]
to = "s3://bucket/p"
storage-class = ["STANDARD"]
[files.c]
paths = ["/etc"]
labels = ["x"]
[ebs.d]
schedule = "@daily"
to-region = "eu-west-1"
completion-duration = "16m"
max-freeze = "1h"
copies-keep.within = "30D"
[binlog.e]
follow = true
flush = true
`)
	var got []string
	for _, x := range config.LookAtJobs(context.Background(), a, bareCommand, f, nil) {
		got = append(got, x.String())
	}
	for i, want := range []string{"line 4, column 1: mysql-dump.a.max-lock: ", "line 5, column 1: mysql-dump.a.threads: ", "line 9, column 1: copy.b.storage-class: ", "line 12, column 1: files.c.labels: label",
		"line 16, column 1: ebs.d.completion-duration: ", "line 17, column 1: ebs.d.max-freeze: --max-freeze", "line 20, column 1: binlog.e.follow: "} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%d: %s is not told: %q", i, want, got)
		}
	}
	f = write("[repository]\nurl = \"/srv/x\"\nstorage-class = [\"content=STANDARD\"]\n[limits]\nconnections = 100\n")
	if found := config.LookAtJobs(context.Background(), a, bareCommand, f, nil); len(found) != 1 {
		t.Errorf("%v", found)
	}
}
