package job

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
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
	var out []string
	v := reflect.Indirect(reflect.ValueOf(settings))
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		name := cmp.Or(tag.Get("flag"), tag.Get("toml"))
		if name == "-" || field.IsZero() {
			continue
		}
		if field.Kind() == reflect.Pointer {
			out = append(out, "--"+name+"="+fmt.Sprint(field.Elem().Interface()))
			continue
		}
		switch x := field.Interface().(type) {
		case string:
			out = append(out, "--"+name+"="+x)
		case []string:
			for _, s := range x {
				out = append(out, "--"+name+"="+s)
			}
		case bool:
			out = append(out, "--"+name)
		case int:
			out = append(out, "--"+name+"="+strconv.Itoa(x))
		default:
			if field.Kind() == reflect.Struct {
				out = append(out, Flags(x)...)
			}
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
