// Package files has the commands that save files and streams, and find, show and restore what was saved.
package files
