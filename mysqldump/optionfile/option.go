// Package optionfile reads option files of MySQL and MariaDB as their clients do, and writes lines that they read.
//
// The invariant: of each file it takes what the clients take. No error and no warning has the value of an option, which may be a password.
package optionfile

import (
	"fmt"
	"strings"
)

// An Option is a line of an option file, or what stands for one: a name, with a value or without. No value is printed.
type Option struct {
	Name  string
	Value *string `json:"-"` // nil: no value
	From  string  // where it was said, for errors
	Own   bool    // for nightjar alone, and not for all clients
}

// Set returns the option NAME=VALUE as from says it: a flag's or a variable's name.
func Set(name, value, from string) Option { return Option{Name: name, Value: &value, From: from} }

// Format prints the name and where it was said.
func (o Option) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s (%s)", o.Name, o.From) }

// Line returns the line NAME="VALUE" with its end. An error does not quote the value.
func Line(name, value string) (string, error) {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(value)
	line := name + `="` + quoted + `"`
	if strings.ContainsRune(value, 0) || len(line) > maxLine {
		return "", fmt.Errorf("the value of %s is too long, or holds a NUL byte", name)
	}
	return line + "\n", nil
}
