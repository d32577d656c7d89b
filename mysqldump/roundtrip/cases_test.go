package roundtrip

import (
	"fmt"
	"strings"
	"testing"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// TestCases makes what is worse than what the regression suite makes, and sees that it comes back by the client and by a restore.
func TestCases(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		flags := append(suiteFlags(k), "--max-allowed-packet=64M")
		from := servertest.Start(t, k, flags...)
		c := from.Connect(t)
		for _, statement := range casesFor(k) {
			if _, err := c.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%v: %.300q", err, statement)
			}
		}
		left := roundTrip(t, from, flags, k == servertest.MariaDB1011 || k == servertest.MySQL57)
		for _, name := range []string{"orphans.broken", "orphans.chain", "orphans.lost_column"} {
			if left[name] == "" {
				t.Errorf("%s is not named as left out: %v", name, left)
			}
		}
		for name, why := range left {
			if name == "content.merged" { // its rows are in others
				continue
			}
			if strings.HasPrefix(name, "keys.") || strings.HasPrefix(name, "content.") || strings.HasPrefix(name, "parts.") {
				t.Errorf("%s is left out: %s", name, why)
			}
		}
	})
}

func casesFor(k servertest.Kind) []string {
	all := append([]string{"SET NAMES utf8mb4", "SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00', foreign_key_checks=0"}, contents...)
	older := k == servertest.MariaDB1011 || k == servertest.MySQL57 // and what is said of names and keys is the same for the others
	if older {
		all = append(all, keyCases(k)...)
		all = append(all, nameCases()...)
	}
	all = append(all, partCases...)
	all = append(all, orphans...)
	if k.MariaDB() {
		all = append(all, mariadbCases...)
	} else {
		all = append(all, mysqlCases...)
	}
	if k == servertest.MySQL97 {
		all = append(all, mysql97Cases...)
	}
	return all
}

// wide are the columns of a table with a thousand.
func wide(n int) string {
	var columns []string
	for i := range n {
		columns = append(columns, fmt.Sprintf("`c%d` INT NULL", i))
	}
	return strings.Join(columns, ", ")
}

// contents are values of every type at their ends, and what a table may have around them.
var contents = []string{
	"CREATE DATABASE content CHARACTER SET utf8mb4", "USE content",
	"CREATE TABLE ends (id BIGINT UNSIGNED PRIMARY KEY, ti TINYINT, bi BIGINT, bu BIGINT UNSIGNED, z INT(12) ZEROFILL, d DECIMAL(65,30), f FLOAT, g DOUBLE, fm FLOAT(20,3), dm DOUBLE(255,10), b64 BIT(64), b1 BIT, y YEAR, " +
		"d1 DATE, t6 TIME(6), dt DATETIME(6), ts TIMESTAMP(6) NULL, c CHAR(5), bn BINARY(5), e ENUM('','a','b,''c'), s SET('x','y;','z'), tx LONGTEXT, bl LONGBLOB, p POINT, gc GEOMETRY)",
	"INSERT INTO ends VALUES (18446744073709551615,-128,-9223372036854775808,18446744073709551615,1,-99999999999999999999999999999999999.999999999999999999999999999999,3.40282e38,1.7976931348623157e308,99999999999.123,1e250," +
		"x'ffffffffffffffff',1,1901,'9999-12-31','-838:59:59.000000','9999-12-31 23:59:59.999999','2038-01-19 03:14:07.999999','a  ',x'6100','','x,y;,z','',x'',ST_GeomFromText('POINT(1 -0)'),ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1e300 2),LINESTRING(0 0,1 1))'))",
	"INSERT INTO ends VALUES (0,127,9223372036854775807,0,999999999999,0.000000000000000000000000000001,1.17549e-38,2.2250738585072014e-308,-0.001,-0.0000000001,0,0,0,'0000-00-00','838:59:59','0000-00-00 00:00:00','1970-01-01 00:00:01',''," +
		"x'0000000000',2,'',REPEAT('語😀',1000),REPEAT(x'0027005c0a0d1a',1000),NULL,NULL)",
	"INSERT INTO ends (id,f,g,d1,dt,e,c,tx) VALUES (1,-0e0,-0e0,'2021-02-31','2000-00-00 00:00:00',3,' a','\\\\'),(2,16777217,0.1e0+0.2e0,'2020-00-10',NULL,99,NULL,'--\\n;\\n$$\\nDELIMITER x\\n\\\\g')",
	"INSERT INTO ends (id,f,g) VALUES (3,1e-45,4.9406564584124654e-324),(4,0.1,123456789012345678901234567890e0),(5,1.5e38,1e22),(6,123456.789e0,9007199254740993e0)",
	"CREATE TABLE thousand (" + wide(1000) + ")", "INSERT INTO thousand (c0,c999) VALUES (1,2),(NULL,NULL)",
	"CREATE TABLE fat (id INT PRIMARY KEY, a LONGBLOB)", "INSERT INTO fat VALUES (1,REPEAT(x'00',16*1024*1024-500))", "INSERT INTO fat VALUES (2,REPEAT('ab',17*512*1024))", "INSERT INTO fat VALUES (3,'')",
	"CREATE TABLE none (a INT, b VARCHAR(10))", "INSERT INTO none VALUES (1,'x'),(1,'x'),(NULL,NULL),(NULL,NULL)",
	"CREATE TABLE nothing (a INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=4711",
	"CREATE TABLE zero (a INT AUTO_INCREMENT PRIMARY KEY, b INT)", "INSERT INTO zero VALUES (0,1),(-7,2),(2147483647,3)",
	"CREATE TABLE computed (a INT, v INT AS (a*2) VIRTUAL, s VARCHAR(20) AS (CONCAT('#',a)) STORED, UNIQUE KEY (s), KEY (v,a))", "INSERT INTO computed (a) VALUES (1),(2),(NULL),(NULL)",
	"CREATE TABLE onlygenerated (s INT AS (1) STORED)", "INSERT INTO onlygenerated () VALUES (),()",
	"CREATE TABLE my (a INT, b VARCHAR(10), KEY (b)) ENGINE=MyISAM", "INSERT INTO my VALUES (3,'c'),(1,'a'),(NULL,NULL)",
	"CREATE TABLE mem (a INT PRIMARY KEY, b VARCHAR(10), KEY (b) USING BTREE) ENGINE=MEMORY", "INSERT INTO mem VALUES (1,'a'),(2,'b')",
	"CREATE TABLE csv (a INT NOT NULL, b VARCHAR(20) NOT NULL) ENGINE=CSV", "INSERT INTO csv VALUES (1,'a,\"b\\n'),(2,'')",
	"CREATE TABLE arch (a INT AUTO_INCREMENT, b TEXT, KEY (a)) ENGINE=ARCHIVE", "INSERT INTO arch (b) VALUES ('x'),(NULL)",
	"CREATE TABLE hole (a INT) ENGINE=BLACKHOLE", "INSERT INTO hole VALUES (1)",
	"CREATE TABLE m1 (a INT, KEY (a)) ENGINE=MyISAM", "CREATE TABLE m2 LIKE m1", "INSERT INTO m1 VALUES (1)", "INSERT INTO m2 VALUES (2)", "CREATE TABLE merged (a INT, KEY (a)) ENGINE=MERGE UNION=(m1,m2) INSERT_METHOD=LAST",
	"CREATE TABLE r1 (id INT PRIMARY KEY, r INT, KEY (r))", "CREATE TABLE r2 (id INT PRIMARY KEY, r INT, KEY (r), CONSTRAINT `f 2` FOREIGN KEY (r) REFERENCES r1 (id) ON DELETE CASCADE ON UPDATE SET NULL)",
	"ALTER TABLE r1 ADD CONSTRAINT `f``1` FOREIGN KEY (r) REFERENCES r2 (id)", "CREATE TABLE self (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES self (id))",
	"INSERT INTO r1 VALUES (1,1),(2,99)", "INSERT INTO r2 VALUES (1,1)", "INSERT INTO self VALUES (1,2),(2,1)",
	"CREATE ALGORITHM=TEMPTABLE DEFINER=nobody@nowhere SQL SECURITY INVOKER VIEW va AS SELECT a, COUNT(*) AS `n ``*/ ;` FROM none GROUP BY a",
	"CREATE TABLE zz_later (id INT)", "CREATE ALGORITHM=MERGE VIEW vb AS SELECT id FROM zz_later WHERE id>1 WITH LOCAL CHECK OPTION",
}

// keyCases are tables of many ranges, whose keys are ordered in odd ways.
func keyCases(k servertest.Kind) []string {
	all := []string{"CREATE DATABASE `keys`", "USE `keys`", "CREATE TABLE n (n INT PRIMARY KEY)", "INSERT INTO n VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)"}
	const rows = "(SELECT a.n+10*b.n+100*c.n AS i FROM n a, n b, n c) AS x"
	const filler = "REPEAT('v',50+i%70)"
	for name, def := range map[string][2]string{
		"big":        {"k BIGINT UNSIGNED PRIMARY KEY", "18446744073709551615-i*i*i*9"},
		"signs":      {"k BIGINT PRIMARY KEY", "(i-500)*9223372036854775"},
		"decimals":   {"k DECIMAL(20,6) PRIMARY KEY", "(i-500)/7"},
		"bytes":      {"k VARBINARY(30) PRIMARY KEY", "UNHEX(CONCAT(SUBSTR(SHA2(i,256),1,6+2*(i%9)),LPAD(HEX(i),4,'0')))"},
		"folded":     {"k VARCHAR(30) COLLATE utf8mb4_unicode_ci PRIMARY KEY", "CONCAT(ELT(1+i%7,'a','A','ä','Ä','ß','😀','z'),i)"},
		"binary_":    {"k VARCHAR(30) COLLATE utf8mb4_bin PRIMARY KEY", "CONCAT(ELT(1+i%7,'a','A','ä','Ä','ß','😀',' '),i,ELT(1+i%3,'\t','','x'))"},
		"enums":      {"e ENUM('z','m','a',''), k INT, PRIMARY KEY (e,k)", "1+i%4,i"},
		"second":     {"k INT, e ENUM('z','m','a'), PRIMARY KEY (k,e)", "i DIV 3,1+i%3"},
		"sets":       {"s SET('z','m','a'), k INT, PRIMARY KEY (s,k)", "i%8,i"},
		"days":       {"k DATE, l INT, PRIMARY KEY (k,l)", "IF(i%50=0,'0000-00-00',IF(i%50=1,'2020-00-00',IF(i%50=2,'2021-02-31','2020-03-01'+INTERVAL i DAY))),i"},
		"clocks":     {"k TIME(3), l INT, PRIMARY KEY (k,l)", "SEC_TO_TIME((i-500)*3600.125),i"},
		"summertime": {"k TIMESTAMP NOT NULL, l INT, PRIMARY KEY (k,l)", "FROM_UNIXTIME(1603585800+i*60),i"},
		"floats":     {"k FLOAT, l INT, PRIMARY KEY (k,l)", "(i-500)/7,i"},
		"bits":       {"k BIT(60) PRIMARY KEY", "i*i*i*i"},
		"years":      {"k YEAR, l INT, PRIMARY KEY (k,l)", "IF(i%30=0,0,1901+i%254),i"},
		"nullable":   {"k INT, l INT, UNIQUE KEY (k,l)", "IF(i%3=0,NULL,i),IF(i%5=0,NULL,i)"},
		"prefix":     {"k VARCHAR(500), UNIQUE KEY (k(10))", "LPAD(i,8,'0')"},
		"latin":      {"k CHAR(10) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY", "CONCAT(ELT(1+i%5,'ä','ae','ü','ß','s'),i)"},
		"wide_":      {"k VARCHAR(10) CHARACTER SET utf32 PRIMARY KEY", "CONCAT(ELT(1+i%3,'😀','é','a'),i)"},
		"descending": {"a INT, b INT, PRIMARY KEY (a DESC, b)", "i%10,i"},
	} {
		collation := ""
		if name == "latin" {
			collation = " CHARACTER SET latin1"
		}
		all = append(all, "CREATE TABLE "+server.Quote(name)+" ("+def[0]+", v VARCHAR(200)"+collation+") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4", "INSERT IGNORE INTO "+server.Quote(name)+" SELECT "+def[1]+", "+filler+" FROM "+rows, "ANALYZE TABLE "+server.Quote(name))
	}
	if k.MariaDB() {
		all = append(all, "CREATE TABLE nopad (k VARCHAR(20) COLLATE utf8mb4_nopad_bin PRIMARY KEY, v VARCHAR(200))", "INSERT INTO nopad SELECT CONCAT('k',i DIV 3,REPEAT(' ',i%3)),"+filler+" FROM "+rows,
			"CREATE TABLE uuids (k UUID PRIMARY KEY, v VARCHAR(200))", "INSERT INTO uuids SELECT CONCAT(LPAD(HEX(i*7919),8,'0'),'-0000-1000-8000-',LPAD(HEX(i),12,'0')),"+filler+" FROM "+rows,
			"CREATE TABLE nets (k INET6 PRIMARY KEY, v VARCHAR(200))", "INSERT INTO nets SELECT CONCAT(HEX(i*60),'::',HEX(i)),"+filler+" FROM "+rows, "ANALYZE TABLE nopad, uuids, nets")
	}
	return all
}

var partCases = []string{
	"CREATE DATABASE parts", "USE parts",
	"CREATE TABLE ranges (a INT, b DATE, PRIMARY KEY (a,b)) PARTITION BY RANGE COLUMNS (b,a) (PARTITION `p,0` VALUES LESS THAN ('2020-01-01',5), PARTITION p1 VALUES LESS THAN (MAXVALUE,MAXVALUE))",
	"INSERT INTO ranges VALUES (1,'2019-01-01'),(9,'2020-01-01'),(2,'2030-01-01')",
	"CREATE TABLE lists (a VARCHAR(10)) PARTITION BY LIST COLUMNS (a) (PARTITION p0 VALUES IN ('x','''',NULL), PARTITION p1 VALUES IN ('y'))", "INSERT INTO lists VALUES ('x'),(NULL),('y')",
	"CREATE TABLE umlauts (a VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_bin) PARTITION BY RANGE COLUMNS (a) (PARTITION p0 VALUES LESS THAN (_utf8mb4'ö'), PARTITION p1 VALUES LESS THAN (MAXVALUE))", "INSERT INTO umlauts VALUES (_utf8mb4'ã'),(_utf8mb4'ü')",
	"SET NAMES utf8mb4", "CREATE TABLE letters (a VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_german1_ci, b DATE, c JSON, d VARBINARY(9)) PARTITION BY LIST COLUMNS (a) (PARTITION p0 VALUES IN ('ö'), PARTITION p1 VALUES IN ('ü'))", "INSERT INTO letters VALUES ('ö','2020-01-01','[1]',X'FF5C27'),('ü',NULL,NULL,NULL)",
	"CREATE TABLE keyed (a INT PRIMARY KEY) PARTITION BY LINEAR KEY ALGORITHM=2 (a) PARTITIONS 5", "INSERT INTO keyed VALUES (1),(2),(3),(4),(5)",
	"CREATE TABLE sub (a INT, b DATE) PARTITION BY RANGE (TO_DAYS(b)) SUBPARTITION BY LINEAR HASH (a) (PARTITION p0 VALUES LESS THAN (737791) (SUBPARTITION s0, SUBPARTITION s1 COMMENT='*/ x'), PARTITION p1 VALUES LESS THAN MAXVALUE (SUBPARTITION s2, SUBPARTITION s3))",
	"INSERT INTO sub VALUES (1,'2019-01-01'),(2,'2020-01-01'),(3,NULL)",
}

// nameCases are names with every character.
func nameCases() []string {
	var all []string
	for i, name := range []string{"a`b", "a.b", "a/b", "a\\b", "sp ace", "'q'", "\"dq\"", "new\nline", "cr\r;", "tab\tx", "é語", "CON", strings.Repeat("x", 64), strings.Repeat("é", 50), "aux.x", "#sql-x", "%s", "$$", ";", "-- x", "/*x*/", "A", "a", "@0041", "..", "mysql50"} {
		q := server.Quote(name)
		column := server.Quote(strings.Repeat("語", 50) + name[:min(len(name), 12)])
		all = append(all, "CREATE DATABASE "+q, "USE "+q, "CREATE TABLE "+q+" ("+column+" INT PRIMARY KEY, v VARCHAR(200), KEY "+q+" (v)) COMMENT='"+strings.NewReplacer("\\", "\\\\", "'", "''").Replace(name)+"'",
			fmt.Sprintf("INSERT INTO %s VALUES (%d,'x'),(-1,NULL)", q, i),
			"CREATE VIEW "+server.Quote(fmt.Sprintf("v %d;", i))+" AS SELECT "+column+" FROM "+q,
			"CREATE TRIGGER "+q+" BEFORE INSERT ON "+q+" FOR EACH ROW SET @x="+fmt.Sprint(i),
			fmt.Sprintf("CREATE PROCEDURE `%d; %s`()", i, strings.ReplaceAll(name[:min(len(name), 10)], "`", "``"))+" BEGIN SELECT * FROM "+q+"; END", "CREATE EVENT "+q+" ON SCHEDULE EVERY 1 YEAR DISABLE DO SET @a=1")
	}
	return all
}

// orphans are what has lost what it needs.
var orphans = []string{
	"CREATE DATABASE orphans", "USE orphans", "CREATE TABLE gone (a INT)", "CREATE VIEW broken AS SELECT a FROM gone", "CREATE VIEW chain AS SELECT a FROM broken", "DROP TABLE gone",
	"CREATE TABLE t (a INT, b INT)", "CREATE TRIGGER lost_column BEFORE INSERT ON t FOR EACH ROW SET NEW.b=1", "CREATE TRIGGER t BEFORE UPDATE ON t FOR EACH ROW SET NEW.a=1",
	"CREATE USER dropped@localhost", "CREATE TABLE was (a INT, b INT)", "GRANT SELECT, INSERT ON was TO dropped@localhost", "GRANT SELECT (a), SELECT (b), INSERT ON t TO dropped@localhost", "GRANT SELECT ON orphans.* TO dropped@localhost",
	"DROP TABLE was", "ALTER TABLE t DROP COLUMN b",
	"CREATE DEFINER=nobody@nowhere PROCEDURE p() SQL SECURITY INVOKER SELECT 1 /* c */ -- d",
}

var mariadbCases = []string{
	"USE content",
	"CREATE TABLE moment (k INT PRIMARY KEY) WITH SYSTEM VERSIONING", "SET timestamp=1000000000", "INSERT INTO moment VALUES (1),(2)", "SET timestamp=1000000001", "UPDATE moment SET k=3 WHERE k=1", "DELETE FROM moment WHERE k=2", "SET timestamp=DEFAULT",
	"CREATE TABLE sv (a INT PRIMARY KEY, b TEXT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s,e)) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION h HISTORY, PARTITION c CURRENT)",
	"INSERT INTO sv (a,b) VALUES (1,'x')", "UPDATE sv SET b='y'", "UPDATE sv SET b='z'",
	"CREATE SEQUENCE s1 START 10 INCREMENT 5 MAXVALUE 100 CACHE 7 CYCLE", "SELECT NEXTVAL(s1)", "CREATE SEQUENCE s2 INCREMENT -1 NOCACHE", "SELECT NEXTVAL(s2)", "CREATE SEQUENCE s3 START 3 ENGINE=Aria", "CREATE TABLE uses (a INT DEFAULT NEXTVAL(s1), b INT)", "INSERT INTO uses (b) VALUES (1),(2)",
	"CREATE TABLE aria (a INT, b BLOB, KEY (a)) ENGINE=Aria TRANSACTIONAL=1", "INSERT INTO aria VALUES (1,'x'),(NULL,NULL)",
	"CREATE TABLE inv (a INT INVISIBLE, b INT, c TEXT COMPRESSED, CHECK (b<>7)) ", "INSERT INTO inv (a,b,c) VALUES (1,2,'x'),(NULL,NULL,NULL)",
	"CREATE TABLE js (j JSON, u UUID, i INET6, i4 INET4 NULL, CHECK (j IS NULL OR JSON_VALID(j)))", "INSERT INTO js VALUES ('{\"a\": 1.0}',UUID(),'::ffff:1.2.3.4','1.2.3.4'),(NULL,NULL,NULL,NULL)",
	"CREATE ROLE r1", "CREATE ROLE r2 WITH ADMIN r1", "GRANT r1 TO root@localhost", "CREATE USER n1 IDENTIFIED BY 'x'", "CREATE USER n2 IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('y')", "GRANT r2 TO n1 WITH ADMIN OPTION", "SET DEFAULT ROLE r2 FOR n1",
	"SET SESSION sql_mode=ORACLE", "CREATE PACKAGE pk AS FUNCTION f RETURN INT; END", "CREATE PACKAGE BODY pk AS FUNCTION f RETURN INT AS BEGIN RETURN 1; /* c */ END; END", "GRANT EXECUTE ON PACKAGE pk TO n1", "GRANT EXECUTE ON PACKAGE BODY pk TO n2", "SET SESSION sql_mode=''",
	"GRANT SELECT (k) ON content.moment TO r2", "GRANT PROXY ON n1 TO n2", "CREATE USER ''@localhost", "CREATE USER n3 REQUIRE SUBJECT '/CN=a''b' WITH MAX_USER_CONNECTIONS 3 ACCOUNT LOCK PASSWORD EXPIRE NEVER",
	"CREATE EVENT e1 ON SCHEDULE EVERY '1:2' DAY_HOUR STARTS '2030-01-01' ENDS '2037-01-01' ON COMPLETION PRESERVE ENABLE COMMENT 'é*/' DO SELECT 1",
}

var mysqlCases = []string{
	"USE content",
	"CREATE TABLE js (id INT PRIMARY KEY, j JSON)", `INSERT INTO js VALUES (1,'{"a": 1.0, "é😀": [1e2, -0.0, 18446744073709551615, "\\u0000\\"\\\\"]}'),(2,NULL),(3,CAST(1.50 AS JSON)),(5,JSON_ARRAY(TRUE, NULL, 1.10, -0e0)),(6,'"x"')`,
	"CREATE TABLE nodefault (a INT, b VARCHAR(3))", "ALTER TABLE nodefault ALTER a DROP DEFAULT",
	"CREATE USER n1 IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=a''b' PASSWORD EXPIRE NEVER ACCOUNT LOCK", "CREATE USER ''@localhost", "GRANT PROXY ON n1 TO ''@localhost WITH GRANT OPTION",
	"CREATE EVENT e1 ON SCHEDULE EVERY '1:2' DAY_HOUR STARTS '2030-01-01' ENDS '2037-01-01' ON COMPLETION PRESERVE ENABLE COMMENT 'é*/' DO SELECT 1",
}

var mysql97Cases = []string{
	"CREATE TABLE vectors (a INT PRIMARY KEY, v VECTOR(3), h INT INVISIBLE DEFAULT (a+1), CHECK (a<>7) NOT ENFORCED)", "INSERT INTO vectors (a,v,h) VALUES (1,STRING_TO_VECTOR('[1,-0,3.4e38]'),9)",
	"CREATE ROLE r1, r2", "GRANT r1 TO r2 WITH ADMIN OPTION", "CREATE USER d1 IDENTIFIED WITH caching_sha2_password BY 'x' DEFAULT ROLE r2", "GRANT r2 TO d1", "GRANT BACKUP_ADMIN ON *.* TO d1 WITH GRANT OPTION",
}
