package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/internal/human"
	"nightjar/job/record"
)

// ran writes the record of a run, or of a drill, that ended an age ago and was done, unless labels say otherwise. MADE stands for the newest archive of the job.
//
//	ran run|drill STATE-DIR JOB AGE [LABEL=VALUE...]
func ran(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: ran run|drill STATE-DIR JOB AGE [LABEL=VALUE...]")
	}
	age, err := human.ParseAge(args[3])
	ts.Check(err)
	ended := time.Now().Add(-age).UTC()
	labels := map[string]string{
		"run.job": args[2], "run.outcome": string(record.Done), "run.exit": "0", "run.start": ended.Add(-time.Minute).Format(time.RFC3339), "run.end": ended.UTC().Format("2006-01-02T15:04:05.999Z07:00"),
	}
	set := session.Settings{
		Repo: ts.Getenv("NIGHTJAR_REPO"), StateDir: ts.MkAbs(args[1]), CacheDir: ts.MkAbs("cache-ran"), Now: time.Now, Warn: func(err error) { ts.Check(err) }, Stderr: io.Discard,
	}
	s, err := set.Open(context.Background(), session.Write)
	ts.Check(err)
	defer s.Close()
	for _, word := range args[4:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			ts.Check(errors.New("no label: " + word))
		}
		if value == "MADE" {
			all, err := s.Archives(context.Background(), "", s.PassOver)
			ts.Check(err)
			for i := range all {
				if string(all[i].Job) == args[2] {
					value = all[i].ID
				}
			}
		}
		labels[name] = value
	}
	r, err := record.Parse(labels)
	ts.Check(err)
	_, err = recorded.Put(context.Background(), s, args[0], &r, time.Now)
	ts.Check(err)
}
