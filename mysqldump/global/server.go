package global

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"nightjar/mysqldump/server"
)

// A ForeignServer is what CREATE SERVER made. Its statement may have a password in it.
type ForeignServer struct {
	Name   string
	Create string // fails where it exists
	Drop   string
}

// readServers reads what CREATE SERVER made. Servers keep it in a table.
func (r *reader) readServers(ctx context.Context) error {
	rows, err := r.s.Rows(ctx, "SELECT * FROM mysql.servers")
	if n := server.Number(err); n == tableDenied || n == columnDenied || n == noSuchTable {
		r.left("foreign server", "all", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		options, err := serverOptions(row)
		if err != nil {
			return fmt.Errorf("read foreign server %s: %w", row["Server_name"], err)
		}
		name := server.Quote(row["Server_name"])
		r.servers = append(r.servers, ForeignServer{Name: row["Server_name"], Drop: "DROP SERVER IF EXISTS " + name,
			Create: "CREATE SERVER " + name + " FOREIGN DATA WRAPPER " + server.Quote(row["Wrapper"]) + " OPTIONS (" + strings.Join(options, ", ") + ")"})
	}
	slices.SortFunc(r.servers, func(a, b ForeignServer) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// serverOptions returns the options of a foreign server. Servers that take any have them as a JSON object too, in their order.
func serverOptions(row map[string]string) (options []string, err error) {
	if row["Options"] != "" {
		decoder := json.NewDecoder(strings.NewReader(row["Options"]))
		var texts []string
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if text, ok := token.(string); ok {
				texts = append(texts, text)
			}
		}
		for i := 0; i+1 < len(texts); i += 2 {
			value := server.Literal(texts[i+1])
			if texts[i] == "PORT" {
				value = texts[i+1]
			}
			options = append(options, optionName(texts[i])+" "+value)
		}
		return options, nil
	}
	for _, option := range []struct{ name, column string }{{"HOST", "Host"}, {"DATABASE", "Db"}, {"USER", "Username"}, {"PASSWORD", "Password"},
		{"SOCKET", "Socket"}, {"OWNER", "Owner"}} {
		if row[option.column] != "" {
			options = append(options, option.name+" "+server.Literal(row[option.column]))
		}
	}
	if port := row["Port"]; port != "" && port != "0" {
		options = append(options, "PORT "+port)
	}
	return options, nil
}

// optionName returns an option's name as a statement has it: those that all servers know are keywords.
func optionName(name string) string {
	switch name {
	case "HOST", "DATABASE", "USER", "PASSWORD", "SOCKET", "OWNER", "PORT":
		return name
	}
	return server.Quote(name)
}
