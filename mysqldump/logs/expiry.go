package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump/server"
)

// A Limit says for how long a server keeps binary logs, and how many bytes of them. 0: for ever, all.
type Limit struct {
	Age   time.Duration
	Bytes uint64
}

// Limits asks a server for its Limit.
func Limits(ctx context.Context, c *server.Session) (l Limit, err error) {
	values := map[string]float64{}
	auto := true
	err = c.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name LIKE '%expire\\_logs%' OR Variable_name IN ('max_binlog_total_size', 'binlog_space_limit')", func(row [][]byte) (err error) {
		name, value := strings.ToLower(string(row[0])), string(row[1])
		switch name {
		case "binlog_expire_logs_auto_purge":
			auto = value == "ON"
		case "binlog_expire_logs_seconds", "expire_logs_days":
			values[name], err = strconv.ParseFloat(value, 64)
		case "max_binlog_total_size", "binlog_space_limit":
			l.Bytes, err = strconv.ParseUint(value, 10, 64)
		}
		return err
	})
	if err != nil || !auto {
		return l, err
	}
	seconds := cmp.Or(values["binlog_expire_logs_seconds"], 86400*values["expire_logs_days"])
	l.Age = time.Duration(seconds * float64(time.Second))
	return l, nil
}

// Unsaved returns how many bytes of the server's logs an archive with these entries does not have.
func Unsaved(list []Log, saved []Entry) (n uint64) {
	for i := len(list) - 1; i >= 0; i-- {
		if k := len(saved) - 1; k >= 0 && saved[k].Name == list[i].Name {
			return n + list[i].Size - min(saved[k].Size, list[i].Size)
		}
		n += list[i].Size
	}
	return n
}

// Sort puts entries in the order of a Result: histories by when they began, and the logs of each by their numbers.
func Sort(all []Entry) {
	begun := map[string]time.Time{}
	for i := range all {
		e := &all[i]
		if at, there := begun[e.History]; !there || e.Span.Format.Created.Before(at) {
			begun[e.History] = e.Span.Format.Created
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int {
		_, n, _ := number(a.Name)
		_, m, _ := number(b.Name)
		return cmp.Or(begun[a.History].Compare(begun[b.History]), cmp.Compare(a.History, b.History), cmp.Compare(n, m))
	})
}

// A Chain is logs of one history without a gap.
type Chain struct {
	History string
	Entries []Entry
	Gap     Case // why what came before it is not there; empty: it is the first of its history
}

// Chains cuts entries, in the order that Sort makes, where something is missing.
func Chains(all []Entry) (chains []Chain) {
	for i := range all {
		e := &all[i]
		gap := e.Gap
		if i > 0 && all[i-1].History == e.History {
			if gap == "" && !follows(&all[i-1], e) {
				gap = Lost
			}
			if gap == "" {
				n := len(chains) - 1
				chains[n].Entries = append(chains[n].Entries, *e)
				continue
			}
		}
		chains = append(chains, Chain{History: e.History, Entries: []Entry{*e}, Gap: gap})
	}
	return chains
}

// String names what the chain covers.
func (c *Chain) String() string {
	first, last := &c.Entries[0], &c.Entries[len(c.Entries)-1]
	return fmt.Sprintf("%s:4 to %s:%d", first.Name, last.Name, last.Size)
}
