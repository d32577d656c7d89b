package main

import (
	"os"
	"path/filepath"
	"strings"
)

// tool is a backup program with its repository, and the command lines of what is measured.
type tool struct {
	name         string
	repo         string // empty: none
	env          []string
	init, backup []string // backup takes the source as one more argument
	restore      func(target string) []string
}

func nightjar(program, dir string) tool {
	at := func(name string) string { return filepath.Join(dir, "nightjar."+name) }
	return tool{
		name: "nightjar",
		repo: at("repo"),
		env: []string{
			"NIGHTJAR_REPO=" + at("repo"), "NIGHTJAR_CACHE_DIR=" + at("cache"), "NIGHTJAR_STATE_DIR=" + at("state"),
			"PASSPHRASE=", "GNUPGHOME=" + at("gnupg"),
		},
		init:   []string{program, "init"},
		backup: []string{program, "backup", "--quiet"},
		restore: func(target string) []string {
			return []string{program, "restore", "latest", "--quiet", "--target", target}
		},
	}
}

func restic(program, dir string) tool {
	at := func(name string) string { return filepath.Join(dir, "restic."+name) }
	return tool{
		name:   "restic",
		repo:   at("repo"),
		env:    []string{"RESTIC_REPOSITORY=" + at("repo"), "RESTIC_CACHE_DIR=" + at("cache"), "RESTIC_PASSWORD=bench"},
		init:   []string{program, "init", "--quiet"},
		backup: []string{program, "backup", "--quiet"},
		restore: func(target string) []string {
			return []string{program, "restore", "latest", "--quiet", "--target", target}
		},
	}
}

// environment is our own without what would steer a tool, and with what the tool is told.
func (t tool) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "NIGHTJAR_") && !strings.HasPrefix(name, "RESTIC_") {
			env = append(env, v)
		}
	}
	return append(env, t.env...)
}
