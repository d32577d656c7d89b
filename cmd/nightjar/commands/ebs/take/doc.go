// Package take takes sets of snapshots, of file systems and databases that stand still meanwhile, and thaws what a killed run left frozen.
package take
