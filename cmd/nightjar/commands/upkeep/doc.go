// Package upkeep has the commands that look after a repository: it is made, checked, copied and pruned, and archives are given up.
package upkeep
