// Package monitor tells how backups are doing: to people, and to what watches machines.
package monitor
