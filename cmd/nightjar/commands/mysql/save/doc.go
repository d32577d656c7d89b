// Package save backs up servers of MySQL and MariaDB: dumps, hot backups, and binary logs.
package save
