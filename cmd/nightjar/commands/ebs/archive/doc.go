// Package archive saves EBS snapshots into a repository, and makes volumes of what was saved.
package archive
