// Package jobs runs the jobs of the job file, and has the machine run them by their schedules.
package jobs
