// Package query has EC2's query protocol: parameters of a form into structs, structs into XML, errors, and tokens of pages.
//
// The invariant: a parameter that no field of the operation's struct stands for is refused, and so is a value that is not of the field's kind.
package query

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Error is what EC2 answers when it refuses.
type Error struct {
	Status  int // of HTTP; 0: 400
	Code    string
	Message string
	Reason  string // of the EBS direct APIs
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refuse makes an Error of status 400.
func Refuse(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Decode fills a struct by its tags: `q:"SnapshotId"`. Fields are strings, integers, booleans and times, or pointers to them, structs, and slices of
// these, whose parameters are numbered from 1 without a gap: SnapshotId.1. A tag of `q:"Name,required"` refuses what has none.
func Decode(form url.Values, into any) error {
	d := decoder{form: form, used: map[string]bool{"Action": true, "Version": true}}
	if err := d.fields(reflect.ValueOf(into).Elem(), ""); err != nil {
		return err
	}
	var unknown []string
	for name, values := range form {
		if !d.used[name] {
			unknown = append(unknown, name)
		} else if len(values) > 1 {
			return Refuse("InvalidParameterValue", "The parameter '%s' may only be specified once.", name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return Refuse("UnknownParameter", "The parameter %s is not recognized", unknown[0])
	}
	return nil
}

type decoder struct {
	form url.Values
	used map[string]bool
}

func (d *decoder) fields(v reflect.Value, prefix string) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if err := d.fields(v.Field(i), prefix); err != nil {
				return err
			}
			continue
		}
		tag, required := strings.CutSuffix(f.Tag.Get("q"), ",required")
		name := prefix + tag
		if required && !d.any(name) {
			return Refuse("MissingParameter", "The request must contain the parameter %s", name)
		}
		if err := d.value(v.Field(i), name); err != nil {
			return err
		}
	}
	return nil
}

// any tells whether the form has a parameter of that name, or below it.
func (d *decoder) any(name string) bool {
	if d.form.Has(name) {
		return true
	}
	for k := range d.form {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

func (d *decoder) value(v reflect.Value, name string) error {
	switch {
	case v.Kind() == reflect.Pointer:
		if !d.any(name) {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), name)
	case v.Kind() == reflect.Slice:
		for i := 1; ; i++ {
			item := fmt.Sprintf("%s.%d", name, i)
			if !d.any(item) {
				return nil
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(e, item); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		return d.fields(v, name+".")
	}
	if !d.form.Has(name) {
		return nil
	}
	d.used[name] = true
	return scalar(v, name, d.form.Get(name))
}

func scalar(v reflect.Value, name, s string) error {
	invalid := func(want string) error {
		return Refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid. Expected: %s.", s, name, want)
	}
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = s
	case *bool:
		if s != "true" && s != "false" {
			return invalid("'true' or 'false'")
		}
		*p = s == "true"
	case *int:
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return invalid("an integer")
		}
		*p = int(n)
	case *time.Time:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return invalid("a timestamp")
		}
		*p = t
	default:
		panic(fmt.Sprintf("field of parameter %s has type %T", name, p))
	}
	return nil
}
