// Command ec2server runs the EC2 of the tests by hand: one instance, with a volume for each file that is named.
//
//	go run ./internal/bench/ec2server -listen 127.0.0.1:8000 -volume /dev/sdf=/tmp/data.img -volume /dev/sdg=/tmp/log.img
//
// It prints what to export in another shell, for commands and other programs to talk to it as that instance, and the instance's ID.
//
// With -loop each volume that is attached, at the start or by a call, becomes a loop device, with the links in /dev/disk/by-id that udev makes of NVMe
// volumes; they are taken away when it is detached, and when the program ends, at an interrupt. That needs root. With -freeze a mounted file system
// that holds the files is frozen while snapshots are taken, so that these are of one moment under writes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightjar/snapshot/ec2test"
)

type volumes []string

func (v *volumes) String() string     { return strings.Join(*v, " ") }
func (v *volumes) Set(s string) error { *v = append(*v, s); return nil }

func main() {
	var of volumes
	listen := flag.String("listen", "127.0.0.1:8000", "`address` of EC2 and the EBS direct APIs")
	region := flag.String("region", "us-east-1", "of the instance")
	loop := flag.Bool("loop", false, "make loop devices of attached volumes")
	pending := flag.Duration("pending", 0, "how long snapshots take; 0: until they are described twice")
	freeze := flag.String("freeze", "", "mounted file `system` that holds the files, to be frozen while snapshots are taken")
	flag.Var(&of, "volume", "`device=file`, once for each; files that are missing are made, of 1 GiB")
	flag.Parse()
	if err := run(*listen, *region, *freeze, *loop, *pending, of); err != nil {
		fmt.Fprintln(os.Stderr, "ec2server:", err)
		os.Exit(1)
	}
}

func run(listen, region, freeze string, loop bool, pending time.Duration, of volumes) error {
	dir, err := os.MkdirTemp("", "ec2server-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := ec2test.Start(dir, listen)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Pending, s.Freeze = pending, freeze
	l := &loops{devices: map[string]string{}}
	defer l.end()
	if loop {
		s.OnAttach, s.OnDetach = l.attach, l.detach
	}
	r := s.Region(region)
	instance := r.AddInstance(ec2test.Instance{Profile: "backup", Meta: ec2test.Meta{Tags: map[string]string{"Name": "by-hand"}}})
	r.Attach(r.AddVolume(ec2test.Volume{}), instance, "/dev/xvda")
	for _, v := range of {
		device, file, ok := strings.Cut(v, "=")
		if !ok {
			return fmt.Errorf("volume %q is not device=file", v)
		}
		if err := makeFile(file); err != nil {
			return err
		}
		id := r.AddVolume(ec2test.Volume{Backing: file})
		r.Attach(id, instance, device)
		if loop {
			if err := l.attach(ec2test.Attachment{Volume: id, Device: device, Backing: file}); err != nil {
				return err
			}
		}
	}
	s.On(instance)
	for _, variable := range s.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value != "" {
			fmt.Printf("export %s=%s\n", name, value)
		}
	}
	fmt.Printf("# instance %s in %s\n", instance, region)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}

func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = f.Truncate(1 << 30)
	}
	return errors.Join(err, f.Close())
}

// loops are the loop devices of attached volumes.
type loops struct {
	mu      sync.Mutex
	devices map[string]string // volume → loop device
}

// link is the name that udev gives an NVMe device of a volume.
func link(volume string) string {
	return filepath.Join("/dev/disk/by-id", "nvme-Amazon_Elastic_Block_Store_"+strings.ReplaceAll(volume, "-", ""))
}

func (l *loops) attach(a ec2test.Attachment) error {
	out, err := exec.Command("losetup", "--find", "--show", a.Backing).Output()
	if err != nil {
		return fmt.Errorf("losetup %s: %w", a.Backing, err)
	}
	device := strings.TrimSpace(string(out))
	l.mu.Lock()
	l.devices[a.Volume] = device
	l.mu.Unlock()
	if err := os.MkdirAll("/dev/disk/by-id", 0o755); err != nil {
		return err
	}
	return os.Symlink(device, link(a.Volume))
}

func (l *loops) detach(a ec2test.Attachment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	device, ok := l.devices[a.Volume]
	if !ok {
		return nil
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	if strings.Contains("\n"+string(mounts), "\n"+device+" ") {
		return fmt.Errorf("%s is mounted", device)
	}
	if err := exec.Command("losetup", "--detach", device).Run(); err != nil {
		return fmt.Errorf("losetup --detach %s: %w", device, err)
	}
	delete(l.devices, a.Volume)
	return os.Remove(link(a.Volume))
}

func (l *loops) end() {
	for volume, device := range l.devices {
		_ = exec.Command("losetup", "--detach", device).Run()
		_ = os.Remove(link(volume))
	}
}
