package disks

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// folders are where tests have their files, each with a lock that is held while its test lives.
const folders = "/tmp/nightjar-disks-"

// newFolder makes a folder, and the lock in it.
func newFolder() (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp(filepath.Dir(folders), filepath.Base(folders)); err != nil {
		return "", nil, err
	}
	if err = os.Chmod(dir, 0o755); err == nil {
		lock, err = os.Create(filepath.Join(dir, "making"))
	}
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err == nil {
		err = os.Rename(lock.Name(), filepath.Join(dir, "lock")) // a folder is swept only if it has this
	}
	return dir, lock, err
}

// sweep takes away what tests left that were killed: file systems are thawed and unmounted, links and loop devices removed.
func sweep() error {
	found, _ := filepath.Glob(folders + "*/lock")
	var failed []error
	for _, name := range found {
		lock, err := os.Open(name)
		if err != nil {
			continue // somebody else was quicker
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			failed = append(failed, sweepFolder(filepath.Dir(name)))
		}
		lock.Close()
	}
	return errors.Join(failed...)
}

func sweepFolder(dir string) error {
	shelf := ""
	var inner []string
	blocks, _ := filepath.Glob("/sys/block/loop*")
	for _, block := range blocks {
		loop := filepath.Join("/dev", filepath.Base(block))
		switch file := backing(loop); {
		case file == filepath.Join(dir, "shelf.img"):
			shelf = loop
		case strings.HasPrefix(file, dir+"/"):
			inner = append(inner, loop)
		}
	}
	const thaw = 0xc0045878 // FITHAW of linux/fs.h
	var failed []error
	all := inner
	if shelf != "" {
		all = append(all, shelf)
	}
	for _, loop := range slices.Backward(all) { // those on the shelf need it thawed
		for _, at := range mountsOf(loop) {
			if f, err := os.Open(at); err == nil {
				_ = unix.IoctlSetInt(int(f.Fd()), thaw, 0) // mostly it is not frozen
				f.Close()
			}
		}
	}
	for _, loop := range all {
		for _, at := range slices.Backward(mountsOf(loop)) {
			failed = append(failed, unix.Unmount(at, unix.MNT_DETACH))
		}
		failed = append(failed, unlink(loop), detach(loop))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	if out, err := exec.Command("rm", "-r", "--one-file-system", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("sweep %s: %w: %s", dir, err, out)
	}
	return nil
}

// unlink removes the links of volumes that lead to a device.
func unlink(loop string) error {
	found, _ := filepath.Glob(filepath.Join(links, "nvme-Amazon_Elastic_Block_Store_*"))
	for _, link := range found {
		if to, err := os.Readlink(link); err == nil && filepath.Base(to) == filepath.Base(loop) {
			if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
