// Command nightjar keeps encrypted, signed, incremental backups.
//
// Below commands there is a package for each group of commands, and in it a file for each command, with its flags, its messages and how its result is shown; all else
// is in the packages that it calls. Of those that are only the program's own, app is one run of it, choice finds the archives that are meant, session opens a
// repository, by what place, passphrase, userkeys and cache find; setup, rekey and mend make one, change its keys and put back what it takes to open it.
//
// This package puts the commands together, and adds help, completion and manual pages for all of them. It alone reads the environment, in env.go (and, for the
// runtime, here); hints and exit codes are chosen in package outcome. Whatever comes from outside (names in archives, errors that repeat them) is shown escaped; no
// passphrase is ever shown, logged or taken from an argument.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// memoryLimit keeps a backup below 200 MiB, with what is not in the runtime's count.
const memoryLimit = 180 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	context.AfterFunc(ctx, stop) // a second signal kills
	survivePipes()
	os.Exit(run(ctx, newApp(), os.Args[1:]))
}

// interrupts returns the signals that interrupt a run: HUP is not among them under nohup.
func interrupts() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}
