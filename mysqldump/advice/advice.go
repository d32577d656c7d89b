// Package advice says what can be done about the errors that stop replicas, by the servers' numbers and words.
//
// It is a table; what is not in it is not guessed at.
package advice

import (
	"slices"
	"strings"
)

// An Advice is what can be done about an error that stops a replica.
type Advice struct {
	// Numbers are the server's error numbers that it is about.
	Numbers []int
	// Text must be in the error, in lower case; empty: any. Of two advices for a number, the first that fits counts.
	Text string
	// Problem is what is wrong, in a few words.
	Problem string
	// Do is what to do about it, in sentences.
	Do string
	// Passing errors may go away by themselves, so that a replica that connects is given time.
	Passing bool
}

// For returns the advice for an error of a replica's thread, by its number and text; ok is false if none is known.
func For(number int, text string) (a Advice, ok bool) {
	text = strings.ToLower(text)
	for _, a := range all {
		if slices.Contains(a.Numbers, number) && strings.Contains(text, a.Text) {
			return a, true
		}
	}
	return Advice{}, false
}

// numbers of MySQL 8 and later for what older servers and MariaDB say with 1236 and 1593.
const (
	readingBinlog = 13114
	fatalError    = 13117
)

var all = []Advice{
	{
		Numbers: []int{1062}, Problem: "a row is there already that the source inserts",
		Do: "Somebody wrote at the replica, or its data is newer than its position. Set it up anew; if the row is known to be equal, --skip passes over the transaction.",
	}, {
		Numbers: []int{1032}, Problem: "a row is missing that the source changes or deletes",
		Do: "Somebody wrote at the replica, or its data is older than its position. Set it up anew; --skip passes over the transaction and leaves the tables different.",
	}, {
		Numbers: []int{1236, readingBinlog}, Text: "server_uuid/server_id", Problem: "another replica of this source has the same server_id or server_uuid",
		Do: "Give each server its own server_id. A copied data directory has a copied auto.cnf: remove it and restart, and the server makes a new server_uuid.",
	}, {
		Numbers: []int{1236, readingBinlog}, Text: "not in the master's binlog", Problem: "the source does not know the GTID that the replica asks for",
		Do: "The source has purged it, or the replica has transactions of its own. Set the replica up anew from a newer backup; keep binary logs for longer than the time between backups.",
	}, {
		Numbers: []int{1236, readingBinlog}, Text: "slave has more gtids", Problem: "the replica has transactions that the source lacks",
		Do: "Somebody wrote at the replica, or the source lost its last transactions. Set the replica up anew.",
	}, {
		Numbers: []int{1236, readingBinlog}, Problem: "the source has purged the binary log that the replica needs, or never had it",
		Do: "Set the replica up anew from a newer backup. Keep binary logs at the source for longer than the time between backups (binlog_expire_logs_seconds, expire_logs_days).",
	}, {
		Numbers: []int{1593, fatalError}, Text: "server ids", Problem: "source and replica have the same server_id",
		Do: "Set another server_id at the replica, in its option file too, and start replication again.",
	}, {
		Numbers: []int{1593, fatalError}, Text: "uuids", Problem: "source and replica have the same server_uuid",
		Do: "The replica's data directory was copied with auto.cnf: remove that file and restart the replica, which makes a new server_uuid.",
	}, {
		Numbers: []int{1593, fatalError}, Text: "gtid_mode", Problem: "gtid_mode differs between source and replica",
		Do: "Set gtid_mode and enforce_gtid_consistency at the replica as they are at the source.",
	}, {
		Numbers: []int{2061, 2059, 1251}, Problem: "the source wants caching_sha2_password, which needs TLS or the source's public key",
		Do: "Replicate with TLS, or let the replica ask for the key (GET_SOURCE_PUBLIC_KEY=1). MariaDB knows neither: there, give the account mysql_native_password.",
	}, {
		Numbers: []int{1045, 1044, 1698}, Problem: "the source refuses the replication account",
		Do: "Check name, password and the hosts that the account is for. An account that requires TLS refuses with the same error who comes without.",
	}, {
		Numbers: []int{3159}, Problem: "the source takes only connections with TLS",
		Do: "Replicate with TLS.",
	}, {
		Numbers: []int{2026}, Problem: "TLS fails between replica and source",
		Do: "Check that the source offers TLS, that the certificate is valid for the name by which the replica connects, and that the replica can read the CA file.",
	}, {
		Numbers: []int{1227, 1597, 13120}, Text: "denied", Problem: "the replication account lacks a privilege",
		Do: "GRANT REPLICATION SLAVE ON *.* to the account at the source.",
	}, {
		Numbers: []int{2003, 2002, 2005, 2013, 1130, 1040}, Problem: "the replica does not reach the source", Passing: true,
		Do: "Check the source's address from the replica, bind_address at the source, and the firewall between them.",
	}, {
		Numbers: []int{1146, 1049}, Problem: "a table or a database is missing that the source changes",
		Do: "The backup does not have it, or somebody dropped it here. Restore it too, or leave it out on purpose (replicate_wild_ignore_table).",
	}, {
		Numbers: []int{1050, 1007, 1304, 1396, 1359, 1537}, Problem: "something is there already that the source creates, or a user is not as the source expects it",
		Do: "Somebody made it here, or the backup had it already. Drop it here and start again, or pass over the statement with --skip if both are equal.",
	}, {
		Numbers: []int{1677, 1535, 13146}, Problem: "a column has another type or place here than at the source",
		Do: "Make the table as it is at the source (SHOW CREATE TABLE at both), and start again.",
	}, {
		Numbers: []int{1594, 13121, 13122}, Problem: "the relay log is damaged",
		Do: "Stop the replica and point it at the executed position again (RESET REPLICA, then the position that SHOW REPLICA STATUS has as executed): it fetches the log anew.",
	}, {
		Numbers: []int{1201, 1871, 1872, 13124, 13125}, Problem: "the replica cannot open its relay logs",
		Do: "The name of the relay logs changed, or they are another server's: RESET REPLICA ALL, then set the replica up at its executed position.",
	}, {
		Numbers: []int{1205, 1213}, Problem: "a transaction waited too long for a lock, or met a deadlock", Passing: true,
		Do: "Find who holds locks at the replica (SHOW PROCESSLIST), and start again.",
	}, {
		Numbers: []int{1290, 1836}, Problem: "the replica refuses to write, since it is read only",
		Do: "Check the options of the replica: replication itself may write while read_only is on.",
	},
}
