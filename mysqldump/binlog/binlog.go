// Package binlog reads the binary logs of MySQL and MariaDB, event by event, and says what they cover.
//
// A Decoder checks one event after the other of a log, wherever they come from: a Reader takes them from a file, and a
// replication connection hands them over one by one. An Assembler groups events into transactions, and a Scanner sums up
// a log as a Span.
//
// The invariant: an event is returned only when its length, its place and its checksum are right, and it follows the one
// before without a gap. Lengths are bounded before memory is asked for. What is not known is passed on as bytes, and what
// was cut off is an error.
//
// The formats are those of the servers' sources: MySQL's libbinlogevents, and MariaDB's sql/log_event.h. The package reads
// version 4 with headers of 19 bytes, as all servers since MySQL 5.0 write it. It reads no encrypted files, no row images,
// and nothing inside of MySQL's compressed transactions.
package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// Start is the offset of a log's first event, after its magic number.
	Start = 4
	// MaxEvent is how many bytes an event may have: what a packet of a server holds at most, and a little.
	MaxEvent = 1<<30 + 1<<16

	headerSize   = 19
	checksumSize = 4
)

// Magic is what a binary log begins with.
const Magic = "\xfebin"

// magicEncrypted is what MySQL's encrypted logs begin with.
const magicEncrypted = "\xfdbin"

// ErrEncrypted says that a log's file is encrypted. Over a replication connection the server decrypts it.
var ErrEncrypted = errors.New("the binary log is encrypted")

// A Type says what an event is.
type Type uint8

// The types that mean something here. Others are passed on.
const (
	Query              Type = 2
	Stop               Type = 3
	Rotate             Type = 4
	IntVar             Type = 5
	AppendBlock        Type = 9
	DeleteFile         Type = 11
	Rand               Type = 13
	UserVar            Type = 14
	FormatDescription  Type = 15
	XID                Type = 16
	BeginLoadQuery     Type = 17
	ExecuteLoadQuery   Type = 18
	TableMap           Type = 19
	WriteRowsV1        Type = 23
	UpdateRowsV1       Type = 24
	DeleteRowsV1       Type = 25
	Incident           Type = 26
	Heartbeat          Type = 27
	Ignorable          Type = 28
	RowsQuery          Type = 29
	WriteRows          Type = 30
	UpdateRows         Type = 31
	DeleteRows         Type = 32
	MySQLGTID          Type = 33
	AnonymousGTID      Type = 34
	PreviousGTIDs      Type = 35
	XAPrepare          Type = 38
	PartialUpdateRows  Type = 39
	TransactionPayload Type = 40
	HeartbeatV2        Type = 41
	TaggedGTID         Type = 42

	AnnotateRows           Type = 160
	BinlogCheckpoint       Type = 161
	MariaDBGTID            Type = 162
	GTIDList               Type = 163
	StartEncryption        Type = 164
	QueryCompressed        Type = 165
	WriteRowsCompressedV1  Type = 166
	UpdateRowsCompressedV1 Type = 167
	DeleteRowsCompressedV1 Type = 168
	WriteRowsCompressed    Type = 169
	UpdateRowsCompressed   Type = 170
	DeleteRowsCompressed   Type = 171
)

var typeNames = map[Type]string{
	Query: "Query", Stop: "Stop", Rotate: "Rotate", IntVar: "Intvar", AppendBlock: "Append_block", DeleteFile: "Delete_file", Rand: "RAND",
	UserVar: "User_var", FormatDescription: "Format_desc", XID: "Xid", BeginLoadQuery: "Begin_load_query", ExecuteLoadQuery: "Execute_load_query",
	TableMap: "Table_map", WriteRowsV1: "Write_rows_v1", UpdateRowsV1: "Update_rows_v1", DeleteRowsV1: "Delete_rows_v1", Incident: "Incident",
	Heartbeat: "Heartbeat", Ignorable: "Ignorable", RowsQuery: "Rows_query", WriteRows: "Write_rows", UpdateRows: "Update_rows", DeleteRows: "Delete_rows",
	MySQLGTID: "Gtid", AnonymousGTID: "Anonymous_Gtid", PreviousGTIDs: "Previous_gtids", XAPrepare: "XA_prepare", PartialUpdateRows: "Update_rows_partial",
	TransactionPayload: "Transaction_payload", HeartbeatV2: "Heartbeat", TaggedGTID: "Gtid_tagged_log_event",
	AnnotateRows: "Annotate_rows", BinlogCheckpoint: "Binlog_checkpoint", MariaDBGTID: "Gtid", GTIDList: "Gtid_list", StartEncryption: "Start_encryption",
	QueryCompressed: "Query_compressed", WriteRowsCompressedV1: "Write_rows_compressed_v1", UpdateRowsCompressedV1: "Update_rows_compressed_v1",
	DeleteRowsCompressedV1: "Delete_rows_compressed_v1", WriteRowsCompressed: "Write_rows_compressed", UpdateRowsCompressed: "Update_rows_compressed",
	DeleteRowsCompressed: "Delete_rows_compressed",
}

// String returns the type as SHOW BINLOG EVENTS has it, or its number.
func (t Type) String() string {
	if name := typeNames[t]; name != "" {
		return name
	}
	return strconv.Itoa(int(t))
}

// IsRows tells the events that have the rows of a table.
func (t Type) IsRows() bool {
	return t >= WriteRowsV1 && t <= DeleteRowsV1 || t >= WriteRows && t <= DeleteRows || t == PartialUpdateRows || t >= WriteRowsCompressedV1 && t <= DeleteRowsCompressed
}

// The flags of an event that mean something here.
const (
	FlagInUse      = 0x01 // of a format description: the log is being written, or its server crashed
	FlagArtificial = 0x20 // made for a replica: it is in no file
)

// An Event is one event of a log.
type Event struct {
	Type     Type
	Flags    uint16
	At, Next uint64    // where in the log it begins, and where the next one does
	Time     time.Time // when its statement began or, of MySQL's GTIDs and the ends of transactions, when it was committed; in seconds
	ServerID uint32    // of the server on which it came about
	Raw      []byte    // all of it, with header and checksum; valid until the next one is read

	checked bool // a checksum is at its end
}

// Body returns what is between header and checksum.
func (e *Event) Body() []byte {
	if e.checked {
		return e.Raw[headerSize : len(e.Raw)-checksumSize]
	}
	return e.Raw[headerSize:]
}

// A Header is the first 19 bytes of an event, as they are.
type Header struct {
	Time     uint32
	Type     Type
	ServerID uint32
	Size     uint32 // of the event, with header and checksum
	End      uint32 // where in the log the next one begins, in its low 32 bits; or 0, as newer MariaDB has it inside of transactions
	Flags    uint16
}

// ParseHeader parses the header of an event. It checks nothing but that there is enough of it.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) < headerSize {
		return h, fmt.Errorf("read event: %d bytes are no header", len(b))
	}
	le := binary.LittleEndian
	return Header{Time: le.Uint32(b), Type: Type(b[4]), ServerID: le.Uint32(b[5:]), Size: le.Uint32(b[9:]), End: le.Uint32(b[13:]), Flags: le.Uint16(b[17:])}, nil
}

// Artificial reports whether the event is in no log: a server makes it up for a replica.
func (h Header) Artificial() bool {
	return h.Flags&FlagArtificial != 0 || h.Type == Heartbeat || h.Type == HeartbeatV2
}
