package global

import (
	"context"
	"slices"
	"strings"

	"nightjar/mysqldump/server"
)

// readLeft names what an inventory cannot carry: programs that are loaded into the server, and tables among its own.
func (r *reader) readLeft(ctx context.Context) error {
	for _, q := range []struct{ what, query string }{
		{"plugin", "SELECT PLUGIN_NAME, PLUGIN_LIBRARY FROM information_schema.PLUGINS WHERE PLUGIN_LIBRARY IS NOT NULL AND PLUGIN_STATUS='ACTIVE' ORDER BY 1"},
		{"loadable function", "SELECT name, dl FROM mysql.func ORDER BY 1"},
		{"component", "SELECT component_urn, component_urn FROM mysql.component ORDER BY 1"},
		{"tablespace", "SELECT NAME, NAME FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE='General' AND NAME<>'mysql' ORDER BY 1"},
		{"tablespace", "SELECT NAME, NAME FROM information_schema.INNODB_SYS_TABLESPACES WHERE SPACE_TYPE='General' ORDER BY 1"},
		{"resource group", "SELECT RESOURCE_GROUP_NAME, RESOURCE_GROUP_TYPE FROM information_schema.RESOURCE_GROUPS WHERE RESOURCE_GROUP_NAME NOT IN ('USR_default','SYS_default','SYS_internal') ORDER BY 1"},
		{"spatial reference system", "SELECT SRS_NAME, SRS_ID FROM information_schema.ST_SPATIAL_REFERENCE_SYSTEMS WHERE ORGANIZATION IS NULL AND SRS_ID<>0 ORDER BY 1"},
	} {
		err := r.s.Texts(ctx, q.query, func(row []string) error {
			r.left(q.what, row[0], "the server's administrator installs it: "+row[1])
			return nil
		})
		switch server.Number(err) {
		case 0:
			if err != nil {
				return err
			}
		case noSuchTable, unknownTable, unknownColumn: // the server has no such things
		default:
			r.left(q.what, "all", err.Error())
		}
	}
	return r.readForeignTables(ctx)
}

// readForeignTables names tables of users in the server's own databases.
func (r *reader) readForeignTables(ctx context.Context) error {
	query := "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('mysql','sys') AND TABLE_TYPE<>'VIEW' ORDER BY 1, 2"
	return r.s.Texts(ctx, query, func(row []string) error {
		if !slices.Contains(strings.Fields(systemTables), row[1]) {
			r.left("table", server.Quote(row[0])+"."+server.Quote(row[1]), "it is in a database that is the server's own")
		}
		return nil
	})
}

// systemTables are the tables of the databases mysql and sys, of all servers.
const systemTables = ` column_stats columns_priv component db default_roles engine_cost event firewall_groups firewall_group_allowlist
 firewall_membership firewall_users firewall_whitelist func general_log global_grants global_priv gtid_executed gtid_slave_pos help_category
 help_keyword help_relation help_topic host index_stats innodb_dynamic_metadata innodb_index_stats innodb_table_stats
 innodb_index_stats_backup57 innodb_table_stats_backup57 ndb_binlog_index ndb_replication password_history plugin proc procs_priv proxies_priv
 replication_asynchronous_connection_failover replication_asynchronous_connection_failover_managed replication_group_configuration_version
 replication_group_member_actions role_edges roles_mapping server_cost servers slave_master_info slave_relay_log_info slave_worker_info
 slow_log spider_link_failed_log spider_link_mon_servers spider_tables spider_xa spider_xa_failed_log spider_xa_member spider_table_crd
 spider_table_position_for_recovery spider_table_sts sys_config table_stats tables_priv time_zone time_zone_leap_second time_zone_name
 time_zone_transition time_zone_transition_type transaction_registry user audit_log_filter audit_log_user `
