package job

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Job is one job of a file, of whatever kind.
type Job struct {
	Name string
	Kind string // the name of its tables in the file: files, mysql-dump, …
	*Common
	Keep *Keep // of the archives that it makes; nil: it makes none
	of   kind
}

// A kind is a pointer to one of the job's tables.
type kind interface {
	// command returns the command line, without flags that are named as fields are.
	command(name string) (words, arguments []string)
	common() *Common
	// wants returns the keys that have to be there, or stand in each other's way, and what is wrong with them.
	wants() []want
}

// A want is what is wrong with a key though its value is good by itself.
type want struct{ key, what string }

const missing = "it is missing"

func (c *Common) common() *Common { return c }

// Jobs returns all jobs, by name.
func (f *File) Jobs() []Job {
	var all []Job
	v := reflect.ValueOf(f).Elem()
	for _, field := range fieldsOf(v.Type()) {
		tables := v.FieldByIndex(field.index)
		if tables.Kind() != reflect.Map {
			continue
		}
		for _, name := range tables.MapKeys() {
			of := tables.MapIndex(name).Interface().(kind)
			j := Job{Name: name.String(), Kind: field.key, Common: of.common(), of: of}
			if a, ok := of.(interface{ keep() *Keep }); ok {
				j.Keep = a.keep()
			}
			all = append(all, j)
		}
	}
	slices.SortFunc(all, func(x, y Job) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind)) })
	return all
}

func (a *Archiving) keep() *Keep { return &a.Keep }

// Command returns the arguments of nightjar that do the job.
func (j Job) Command() []string {
	words, arguments := j.of.command(j.Name)
	return slices.Concat(words, Flags(j.of), arguments)
}

// Flags returns what the settings of a struct, such as a File or a Keep, are on a command line. Zero values are left out.
func Flags(settings any) []string {
	return flagsBy(reflect.Indirect(reflect.ValueOf(settings)), func(f reflect.StructField) string { return cmp.Or(f.Tag.Get("flag"), f.Tag.Get("toml")) })
}

// flagsBy is Flags of a struct whose fields are named so; "-": they have no flag.
func flagsBy(v reflect.Value, named func(reflect.StructField) string) (out []string) {
	for i := range v.NumField() {
		field, name := v.Field(i), named(v.Type().Field(i))
		if name == "-" || field.IsZero() {
			continue
		}
		flag := "--" + name
		switch x := reflect.Indirect(field); x.Kind() {
		case reflect.String, reflect.Int:
			out = append(out, flag+"="+fmt.Sprint(x.Interface()))
		case reflect.Slice:
			for j := range x.Len() {
				out = append(out, flag+"="+fmt.Sprint(x.Index(j).Interface()))
			}
		case reflect.Bool:
			if field.Kind() == reflect.Pointer {
				flag += "=" + fmt.Sprint(x.Bool())
			}
			out = append(out, flag)
		case reflect.Struct:
			out = append(out, flagsBy(x, named)...)
		}
	}
	return out
}

// isKind reports whether a table of the file has jobs.
func isKind(key string) bool {
	t := reflect.TypeFor[File]()
	return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.key == key && t.FieldByIndex(f.index).Type.Kind() == reflect.Map })
}

// jobs looks for what is wrong with jobs as a whole.
func (r *reader) jobs() {
	first := map[string]string{}
	for _, j := range r.file.Jobs() {
		here := []string{j.Kind, j.Name}
		if other := first[j.Name]; other != "" {
			r.fault(here, j.Name, "there is a job of that name already, "+joined([]string{other, j.Name}))
		}
		first[j.Name] = cmp.Or(first[j.Name], j.Kind)
		for _, w := range j.of.wants() {
			if key := append(here, w.key); w.what != missing || r.file.At(key...) == (Position{}) { // else it was wrong, which was told
				r.fault(key, j.Name, w.what)
			}
		}
	}
}

// KeyOf returns the key, with its tables, that a flag of the job's command line is made of, as keep.daily below the job's; nil: there is none.
func (j Job) KeyOf(flag string) []string {
	return keyOf(reflect.TypeOf(j.of).Elem(), flag, []string{j.Kind, j.Name})
}

// KeyOf is Job.KeyOf for flags of every command.
func (f *File) KeyOf(flag string) []string {
	t := reflect.TypeFor[File]()
	for _, table := range fieldsOf(t) {
		if inner := t.FieldByIndex(table.index).Type; inner.Kind() == reflect.Struct {
			if key := keyOf(inner, flag, []string{table.key}); key != nil {
				return key
			}
		}
	}
	return nil
}

func keyOf(t reflect.Type, flag string, path []string) []string {
	for _, f := range fieldsOf(t) {
		here := append(path[:len(path):len(path)], f.key)
		if cmp.Or(f.after, f.flag, f.key) == flag {
			return here
		}
		inner := t.FieldByIndex(f.index).Type
		if inner.Kind() != reflect.Struct || reflect.PointerTo(inner).Implements(textual) {
			continue
		}
		prefix := ""
		if f.key == "copies-keep" {
			prefix = "copies-"
		}
		if bare, ok := strings.CutPrefix(flag, prefix); ok {
			if key := keyOf(inner, bare, here); key != nil {
				return key
			}
		}
	}
	return nil
}
