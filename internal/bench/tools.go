package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is a backup program with its repository, and the command lines of what is measured. A label names
// a backup for tools that want it named; the others take the newest.
type tool struct {
	name        string
	repo        string // empty: none
	env         []string
	init        []string // empty: the first backup makes the repository
	backup      func(label, source string) []string
	restore     func(label, target string) []string
	save, print func(label, name string) []string // a stream, from standard input and to standard output; nil: it cannot
	seconds     bool                              // it keeps times in whole seconds
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
		backup: func(_, source string) []string { return []string{program, "backup", "--quiet", source} },
		restore: func(_, target string) []string {
			return []string{program, "restore", "latest", "--quiet", "--target", target}
		},
		save:  func(_, name string) []string { return []string{program, "backup", "--quiet", "--stdin", name} },
		print: func(_, name string) []string { return []string{program, "cat", "latest:" + name} },
	}
}

func restic(program, dir string) tool {
	at := func(name string) string { return filepath.Join(dir, "restic."+name) }
	return tool{
		name:   "restic",
		repo:   at("repo"),
		env:    []string{"RESTIC_REPOSITORY=" + at("repo"), "RESTIC_CACHE_DIR=" + at("cache"), "RESTIC_PASSWORD=bench"},
		init:   []string{program, "init", "--quiet"},
		backup: func(_, source string) []string { return []string{program, "backup", "--quiet", source} },
		restore: func(_, target string) []string {
			return []string{program, "restore", "latest", "--quiet", "--target", target}
		},
		save: func(_, name string) []string {
			return []string{program, "backup", "--quiet", "--stdin", "--stdin-filename", name}
		},
		print: func(_, name string) []string { return []string{program, "dump", "latest", name} },
	}
}

func borg(program, dir string) tool {
	at := func(name string) string { return filepath.Join(dir, "borg."+name) }
	return tool{
		name: "borg",
		repo: at("repo"),
		env:  []string{"BORG_REPO=" + at("repo"), "BORG_BASE_DIR=" + at("base"), "BORG_PASSPHRASE=bench"},
		init: []string{program, "init", "--encryption", "repokey-blake2"},
		backup: func(label, source string) []string {
			return []string{program, "create", "--compression", "zstd,1", "::" + label, source}
		},
		restore: func(label, target string) []string {
			return []string{"sh", "-c", `cd "$0" && exec "$@"`, target, program, "extract", "::" + label}
		},
		save: func(label, name string) []string {
			return []string{program, "create", "--compression", "zstd,1", "--stdin-name", name, "::" + label, "-"}
		},
		print: func(label, name string) []string { return []string{program, "extract", "--stdout", "::" + label, name} },
	}
}

// duplicity encrypts to and signs with the key of that fingerprint in keyring, a GnuPG home.
func duplicity(program, dir, keyring, fingerprint string) tool {
	at := func(name string) string { return filepath.Join(dir, "duplicity."+name) }
	common := []string{"--archive-dir", at("archive"), "--name", "bench", "--encrypt-key", fingerprint}
	with := func(args ...string) []string { return append(append([]string{program}, args...), common...) }
	return tool{
		name: "duplicity",
		repo: at("repo"),
		env:  []string{"GNUPGHOME=" + keyring, "PASSPHRASE="},
		backup: func(_, source string) []string {
			return with(source, "file://"+at("repo"), "--sign-key", fingerprint)
		},
		restore: func(_, target string) []string { return with("restore", "file://"+at("repo"), target, "--force") },
		seconds: true,
	}
}

// makeKeyring makes a GnuPG home with one key without a passphrase, and returns the key's fingerprint.
func makeKeyring(ctx context.Context, home string) (string, error) {
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", fmt.Errorf("make keyring: %w", err)
	}
	script := `set -e
key() { gpg --batch --quiet --pinentry-mode loopback --passphrase '' "$@"; }
key --quick-gen-key bench@example.org ed25519 cert,sign never
fingerprint=$(gpg --batch --list-keys --with-colons | sed -n '/^fpr/{s/^fpr:*//;s/:*$//;p;q}')
key --quick-add-key "$fingerprint" cv25519 encr never
echo "$fingerprint"`
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("make keyring: %w\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// stopAgent ends the agent that GnuPG started for a home.
func stopAgent(home string) error {
	cmd := exec.Command("gpgconf", "--kill", "all")
	cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stop GnuPG's agent: %w\n%s", err, out)
	}
	return nil
}

// environment is our own without what would steer a tool, and with what the tool is told.
func (w *work) environment(t tool) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		prefix, _, _ := strings.Cut(name, "_")
		switch prefix {
		case "NIGHTJAR", "RESTIC", "BORG", "PASSPHRASE", "SIGN", "GNUPGHOME", "TMPDIR":
		default:
			env = append(env, v)
		}
	}
	return append(append(env, "TMPDIR="+w.temp), t.env...)
}
