package local

import "golang.org/x/sys/unix"

// pseudo are the file systems whose content the kernel makes up, so that it is no content to save.
var pseudo = map[uint32]string{
	unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.CGROUP_SUPER_MAGIC: "cgroup", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
	unix.DEBUGFS_MAGIC: "debugfs", unix.TRACEFS_MAGIC: "tracefs", unix.SECURITYFS_MAGIC: "securityfs", unix.BPF_FS_MAGIC: "bpf",
	unix.DEVPTS_SUPER_MAGIC: "devpts", unix.PSTOREFS_MAGIC: "pstore", unix.EFIVARFS_MAGIC: "efivarfs", unix.BINFMTFS_MAGIC: "binfmt_misc",
	unix.SELINUX_MAGIC: "selinuxfs", unix.SMACK_MAGIC: "smackfs", unix.NSFS_MAGIC: "nsfs", unix.RDTGROUP_SUPER_MAGIC: "resctrl",
	0x62656570: "configfs", 0x65735543: "fusectl", 0x19800202: "mqueue", 0x67596969: "rpc_pipefs",
}

// Pseudo returns the kind of the file system that the directory is on, if the kernel makes up what is in it, else "".
func (d *Dir) Pseudo() string {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &st) }); err != nil {
		return ""
	}
	return pseudo[uint32(st.Type)]
}
