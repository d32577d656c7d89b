package child

import (
	"os"
	"os/exec"
	"syscall"
)

// A keeper is a shell that leads the process group of a program. It does nothing but wait for this process to be gone: then it kills all in the group, which the kernel
// does for the program alone.
type keeper struct {
	cmd  *exec.Cmd
	hold *os.File // closed with this process
}

// newKeeper starts a keeper; nil where there is no shell.
func newKeeper() *keeper {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", "trap '' HUP INT TERM; read x; kill -KILL 0")
	cmd.Env, cmd.Stdin, cmd.SysProcAttr = []string{}, r, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil
	}
	return &keeper{cmd, w}
}

// end lets the group be.
func (k *keeper) end() {
	if k == nil {
		return
	}
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	k.hold.Close()
}
