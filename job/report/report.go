// Package report makes one page of HTML of what became of all jobs: for a phone, a wide screen and paper, without scripts and without anything from a network.
//
// It is made of plain values that its callers have gathered. All of them are hostile: the template escapes them, after what no screen shows was made visible.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"nightjar/job/history"
)

// Days is how many days a page shows unless told.
const Days = 91

// MaxDays is the most.
const MaxDays = 400

// An Input is all that a page is made of.
type Input struct {
	Repository string // its place, as people call it
	Now        time.Time
	Zone       *time.Location // of days and times; nil: UTC
	Days       int            // how many are shown; 0: Days
	Jobs       []history.Job
	Kept       []history.Archive // all archives that were not given up
	Objects    []Objects         // how much is in the repository
	Monthly    *Cost             // what keeping it costs; nil: nobody bills it
	Changes    []Changes         // what changed most, of jobs that save files
	Warnings   []string          // what else a person has to know: keys that expire, archives that cannot be read
	Version    string            // of the program
}

// Objects sum up the objects of a kind.
type Objects struct {
	Kind  string
	Count uint64
	Bytes uint64
}

// A Cost is what a bucket's provider bills in a month for keeping what is there.
type Cost struct {
	Amount float64
	Basis  string // what it was computed from, in words
}

// Changes say what was new between the last two archives of a job, the most first.
type Changes struct {
	Host, Job  string
	Since      time.Time
	Paths      []Change
	Files      int    // that are new or changed, in all
	Bytes      uint64 // their sizes
	Incomplete string // why not all was looked at; empty: all was
}

// A Change is a folder with files in it that are new or changed.
type Change struct {
	Path  string
	Files int
	Bytes uint64 // sizes of these files
}

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

var page = template.Must(template.New("page").Parse(pageText))

// Write writes the page.
func Write(w io.Writer, in Input) error {
	if in.Days < 0 || in.Days > MaxDays {
		return fmt.Errorf("write a report of %d days: there may be 1 to %d", in.Days, MaxDays)
	}
	if in.Days == 0 {
		in.Days = Days
	}
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	in.Now = in.Now.In(in.Zone)
	if err := page.Execute(w, newView(&in)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
