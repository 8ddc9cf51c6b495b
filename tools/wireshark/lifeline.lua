-- A Wireshark dissector for Lifeline, version 1.1 (Protocol.md). Needs Wireshark 4.0 or later, and nothing else.
--
-- Install it: copy this file into the folder that "Help > About Wireshark > Folders" calls "Personal Lua Plugins", or
-- load it for once:
--
--     tshark -X lua_script:tools/wireshark/lifeline.lua -i lo -f 'port 7400'                what goes by, a line a packet
--     tshark -X lua_script:tools/wireshark/lifeline.lua -r capture.pcap -V -O lifeline      all of it
--     tshark -X lua_script:tools/wireshark/lifeline.lua -r capture.pcap -q -z expert        what is wrong with it
--
-- A request tells of its response when it is looked at for the second time, as Wireshark does; tshark does it with
-- -2 and a filter, as in -2 -Y lifeline (without a filter its first pass dissects nothing).
--
-- Connections are recognised by their port (preference lifeline.port, 7400), on any port by the preface, and else by
-- "Decode As" (tshark -d tcp.port==9000,lifeline). A header of the PROXY protocol before the preface (section 12) is skipped.
-- Wireshark's own dissector shows it (proxy) where it has a segment of its own, and the port is not known. Some filters:
--
--     lifeline.type == 9                      failures; lifeline.code == 18 those that were REFUSED
--     lifeline.id == 7                        request 7: its chunks, its response, its CANCEL
--     lifeline.type == 5 && lifeline.from == "server"                                       what the server asks
--     lifeline.time > 0.5                     responses that took longer than half a second
--     lifeline.rtt > 0.1                      heartbeats with a round trip of more than 100 ms
--     lifeline.requirement                    whatever is worth a look; == "5.4-5" where that requirement is concerned
--     _ws.expert.severity >= "Warning"        violations alone
--
-- Expert information names the requirement of Protocol.md. An error is what a receiver drops its peer for (section 9),
-- a warning a requirement that was broken although a receiver does not judge it, a note what Protocol.md advises
-- against or what a person may want to know. Of a header, of HELLO and of WELCOME the first fault alone is reported, as
-- a receiver looks no further (9-2, 4.1-1). The times that are judged are those of the capture.
--
-- How it works: each packet is analysed once, in the order of the capture (Tracking), which leaves a list of records;
-- whenever the packet is to be shown, the records are put into the tree (Showing).

local lifeline = Proto("lifeline", "Lifeline Protocol")

lifeline.prefs.port = Pref.uint("TCP port", 7400, "The port of the server. Other ports are recognised by the preface.")

-- ---------------------------------------------------------------------------------------------------------------------
-- What Protocol.md says in tables
-- ---------------------------------------------------------------------------------------------------------------------

local PREFACE = "LIFELINE"
local HEADER = 12
local WRAP = 2 ^ 32
local HELLO, WELCOME, PING, PONG, REQUEST, RESPONSE, MESSAGE = 1, 2, 3, 4, 5, 6, 7
local CANCEL, FAILURE, GOAWAY, CLOSE, CREDIT = 8, 9, 10, 11, 12

-- Section 4. `most` is absent where it is the receiver's max_frame; `chunks`: MORE is allowed.
local KINDS = {
    [HELLO] = { name = "HELLO", from = "client", least = 20, most = 1024 },
    [WELCOME] = { name = "WELCOME", from = "server", least = 36, most = 1024 },
    [PING] = { name = "PING", least = 8, most = 8 },
    [PONG] = { name = "PONG", least = 20, most = 20 },
    [REQUEST] = { name = "REQUEST", from = "client", has_id = true, least = 0, chunks = true },
    [RESPONSE] = { name = "RESPONSE", from = "server", has_id = true, least = 0, chunks = true },
    [MESSAGE] = { name = "MESSAGE", least = 0, chunks = true },
    [CANCEL] = { name = "CANCEL", from = "client", has_id = true, least = 0, most = 0 },
    [FAILURE] = { name = "FAILURE", from = "server", has_id = true, least = 8, most = 520 },
    [GOAWAY] = { name = "GOAWAY", least = 12, most = 524 },
    [CLOSE] = { name = "CLOSE", least = 12, most = 524 },
    [CREDIT] = { name = "CREDIT", least = 16, most = 16 },
}
--- Both sides send these where the client answers requests of the server (section 3.7).
local OF_REQUESTS = { [REQUEST] = true, [RESPONSE] = true, [CANCEL] = true, [FAILURE] = true }
local TYPE_NAMES = {}
for number, kind in pairs(KINDS) do TYPE_NAMES[number] = kind.name end

-- Section 8: the name, and the frames that carry the code.
local CODES = {
    [0] = { "NORMAL", "GC" }, { "PROTOCOL_ERROR", "C" }, { "BAD_PREFACE", "C" }, { "UNSUPPORTED_VERSION", "C" },
    { "FRAME_TOO_LARGE", "C" }, { "MESSAGE_TOO_LARGE", "FC" }, { "HANDSHAKE_TIMEOUT", "C" }, { "SILENT", "C" },
    { "FRAME_TIMEOUT", "C" }, { "SLOW_READER", "C" }, { "TOO_MANY_PINGS", "C" }, { "NO_ROUND_TRIP", "C" },
    { "BUSY", "C" }, { "SHUTTING_DOWN", "GC" }, { "UNAUTHORIZED", "C" }, { "UNSUPPORTED_OPTION", "C" },
    { "HANDLER_FAILED", "F" }, { "CANCELLED", "F" }, { "REFUSED", "F" }, { "KICKED", "GC" }, { "INTERNAL", "FGC" },
}
local CODE_NAMES = {}
for number, code in pairs(CODES) do CODE_NAMES[number] = code[1] end
local NORMAL, SILENT, BUSY, SHUTTING_DOWN, HANDLER_FAILED, REFUSED = 0, 7, 12, 13, 16, 18

local TOKEN, NAME, AGENT, FIRST_LIMIT, ANSWERS = 1, 2, 3, 4, 5
local OPTION_NAMES = { [TOKEN] = "TOKEN", [NAME] = "NAME", [AGENT] = "AGENT", [FIRST_LIMIT] = "CREDIT",
    [ANSWERS] = "ANSWERS" }

-- Expert information: name, severity, requirement, text. Its filter is lifeline.expert.<name>.
local ERROR, WARN, NOTE = expert.severity.ERROR, expert.severity.WARN, expert.severity.NOTE
local RULES = {
    -- The stream and the header, in the order of section 9.
    { "preface_of_client", ERROR, "3.2-1", "the client does not begin with LIFELINE" },
    { "preface_of_server", ERROR, "3.2-2", "the server does not begin with LIFELINE" },
    { "reserved", ERROR, "3.3-1", "bytes 6 and 7 of the header are not 0" },
    { "unknown_flag", ERROR, "3.4-1", "a flag that is not defined" },
    { "unknown_type", ERROR, "3.4-3", "a type that is not defined, without IGNORABLE" },
    { "more", ERROR, "3.4-2", "MORE on a type that has no chunks" },
    { "direction", ERROR, "3.3-5", "a type of frame that only the other side may send" },
    { "first_of_client", ERROR, "3.3-6", "the first frame of the client is not HELLO" },
    { "first_of_server", ERROR, "3.3-7", "the first frame of the server is neither WELCOME nor CLOSE" },
    { "unknown_first", ERROR, "3.4-5", "a type that is not defined, before the handshake" },
    { "greeting_again", ERROR, "3.3-8", "HELLO or WELCOME for the second time" },
    { "id", ERROR, "3.3-2", "the id" },
    { "too_long", ERROR, "3.3-3", "longer than its type allows" },
    { "over_max_frame", ERROR, "3.3-9", "longer than the receiver's max_frame" },
    { "too_short", ERROR, "3.3-3", "shorter than its type allows" },
    { "more_empty", ERROR, "3.5-1", "MORE on an empty frame" },
    { "other_chunk", ERROR, "3.5-2", "a chunk with another id than the first one" },
    { "other_message", ERROR, "3.5-3", "a frame of another message while one is open" },
    { "request_id", ERROR, "3.6-1", "the id of a new request is not above all earlier ones" },
    { "chunk_after_cancel", ERROR, "4.8-4", "a chunk of a request that was cancelled" },
    { "over_max_message", ERROR, "3.5-4", "the message is longer than the receiver's max_message" },
    { "cancel_id", ERROR, "4.8-1", "CANCEL of an id above every request" },
    { "ending_unknown", ERROR, "3.6-5", "for a request that was never sent" },
    { "ending_again", ERROR, "3.6-5", "for a request that has its ending" },
    { "response_early", ERROR, "3.6-4", "RESPONSE before the last chunk of its request" },
    { "request_after_goaway", ERROR, "7.4-4", "a new request behind the client's own GOAWAY" },
    { "short_client", ERROR, "7.3-1", "not allowed in a short connection" },
    { "short_message", ERROR, "7.3-2", "MESSAGE from the server of a short connection" },
    { "over_credit", ERROR, "3.8-1", "a MESSAGE begins at the limit that the receiver has told, or beyond it" },
    { "behind_close", ERROR, "7.1-1", "CLOSE was not the last frame" },
    { "close_again", ERROR, "7.1-8", "CLOSE for the second time" },
    -- HELLO and WELCOME.
    { "major", ERROR, "4.1-2", "another major version than 1" },
    { "hello_flags", ERROR, "4.1-3", "a flag of HELLO that is not defined" },
    { "welcome_flags", ERROR, "4.2-4", "the flags of WELCOME are not 0" },
    { "welcome_minor", ERROR, "4.2-3", "a minor version above that of HELLO" },
    { "max_frame", ERROR, "4.1-4", "max_frame is under 256" },
    { "dead_after", ERROR, "6-3", "dead_after is under 100" },
    { "ping_every", ERROR, "6-4", "ping_every is under 20 or above dead_after / 2" },
    { "max_in_flight", ERROR, "4.2-5", "max_in_flight is 0" },
    { "options_end", ERROR, "4.12-1", "the options do not fill the payload" },
    { "option_twice", ERROR, "4.12-2", "an option for the second time" },
    { "token_long", ERROR, "4.12-3", "TOKEN is longer than 256 bytes" },
    { "name_long", ERROR, "4.12-4", "NAME is longer than 64 bytes" },
    { "option_length", ERROR, "4.12-9", "CREDIT or ANSWERS has not 8 bytes" },
    { "answers_none", ERROR, "4.12-10", "max_in_flight of ANSWERS is 0" },
    { "credit_alone", ERROR, "3.8-3", "CREDIT in WELCOME, and it cannot be in force" },
    { "option_unknown", ERROR, "4.12-5", "an option that must be understood and is not known" },
    { "dead_after_asked", ERROR, "6-5", "dead_after is above what HELLO asked for" },
    { "welcome_alone", WARN, "4.2-1", "WELCOME without a HELLO" },
    { "terms", WARN, "6-1", "ping_every is not what the formula gives" },
    { "max_queued", WARN, "4.2-6", "max_queued is lower than max_message" },
    { "early_type", WARN, "6-6", "sent before WELCOME came" },
    { "early_long", WARN, "6-7", "a REQUEST of more than 256 bytes before WELCOME came" },
    { "early_much", NOTE, "6-8", "more than one request, or more than 16384 bytes of it, before WELCOME came" },
    { "option_skipped", NOTE, "4.12-6", "an option that is not known, to be skipped" },
    { "option_of_hello", NOTE, "4.12-7", "an option of HELLO, to be skipped" },
    -- Other payloads.
    { "utf8", ERROR, "3.1-3", "not UTF-8" },
    { "zero", ERROR, "4.9-1", "`zero` is not 0" },
    { "last_id_of_client", ERROR, "4.11-4", "last_id is above every id that the server has sent" },
    { "last_id_above", ERROR, "4.11-3", "last_id is above every id that the client has sent" },
    { "pong_unknown", ERROR, "5.4-5", "PONG with a nonce of no PING" },
    { "pong_again", ERROR, "5.4-5", "PONG for a PING that is answered, or older than one answered" },
    { "nonce_again", WARN, "4.3-1", "a nonce for the second time" },
    { "last_id_below", WARN, "4.11-1", "last_id is below a request that the handler was given" },
    { "failure_normal", WARN, "4.9-3", "FAILURE with the code NORMAL" },
    { "code_unknown", WARN, "8-1", "a code above 20" },
    { "code_elsewhere", NOTE, "8", "section 8 does not give this code to this type of frame" },
    { "no_text", NOTE, "8-2", "no text that says what came and what was expected" },
    { "handled_above", WARN, "3.8-6", "more messages are handled than were sent" },
    { "over_answers", WARN, "3.7-4", "more requests of the server at once than ANSWERS allows" },
    { "no_retry_after", NOTE, "7.6-2", "BUSY without a retry_after" },
    { "refusal_long", NOTE, "11-6", "the text of a refusal is longer than 64 bytes" },
    { "payload_long", NOTE, "3.3-10", "a payload of more than 16384 bytes holds heartbeats up" },
    { "load_of_client", NOTE, "4.4", "PONG of a client with a load other than 0" },
    -- The order and the time of things.
    { "short_end", WARN, "7.3-3", "the server's CLOSE does not follow the ending of a short connection as it must" },
    { "no_goaway", WARN, "7.4-8", "CLOSE(SHUTTING_DOWN) on a long connection without GOAWAY" },
    { "request_after_server_goaway", NOTE, "7.4-2", "a new request behind the server's GOAWAY; they may have crossed" },
    { "asked_after_goaway", NOTE, "3.7-6",
        "a new request of the server behind the client's GOAWAY; they may have crossed" },
    { "first_ping_late", WARN, "5.2-1", "the client's first PING is late" },
    { "ping_late", WARN, "5.2-2", "the client's PING is late" },
    { "server_ping_late", WARN, "5.3-1", "the server has sent no PING into a silence of half of dead_after" },
    { "nothing_sent", NOTE, "5.3-2", "nothing was sent for more than half of dead_after" },
    { "bucket", WARN, "5.10-1", "the bucket is empty: too many PINGs, CANCELs or empty MESSAGEs" },
    { "silent_early", WARN, "5.5-1", "CLOSE(SILENT) before dead_after was over" },
    { "silence", NOTE, "5.5-1", "silent for longer than dead_after" },
    -- What belongs to no requirement.
    { "unanswered", NOTE, nil, "requests are unanswered" },
    { "unhandled", NOTE, nil, "messages that no CREDIT has counted" },
    { "no_answer", NOTE, nil, "no ending of this request in this capture" },
    { "no_pong", NOTE, nil, "no PONG for this PING in this capture" },
    { "midstream", NOTE, nil, "the capture does not hold the beginning of this connection" },
    { "gap", NOTE, nil, "bytes are missing here in the capture" },
    { "cut", NOTE, nil, "not all bytes of this frame are in the capture, or TCP reassembly is off" },
}
local rules, experts = {}, {}
for _, row in ipairs(RULES) do
    local name, severity, requirement, text = row[1], row[2], row[3], row[4]
    local group = severity == NOTE and expert.group.COMMENTS_GROUP or expert.group.PROTOCOL
    local info = ProtoExpert.new("lifeline.expert." .. name, "Lifeline: " .. text, group, severity)
    rules[name] = { info = info, requirement = requirement, text = text, broken = severity ~= NOTE }
    experts[#experts + 1] = info
end
lifeline.experts = experts

-- ---------------------------------------------------------------------------------------------------------------------
-- Fields
-- ---------------------------------------------------------------------------------------------------------------------

local fields, field_list = {}, {}
local function field(kind, abbreviation, title, ...)
    local made = ProtoField[kind]("lifeline." .. abbreviation, title, ...)
    fields[abbreviation] = made
    field_list[#field_list + 1] = made
end
local MS, BYTES = { " ms" }, { " bytes" }
local UNIT = base.DEC + base.UNIT_STRING

field("string", "preface", "Preface")
field("string", "preface.protocol", "What came in place of the preface")
field("string", "from", "Sender")
field("uint32", "length", "length", UNIT, BYTES)
field("uint8", "type", "type", base.HEX, TYPE_NAMES)
field("uint8", "flags", "flags", base.HEX)
field("bool", "flags.more", "MORE", 8, nil, 0x01)
field("bool", "flags.ignorable", "IGNORABLE", 8, nil, 0x80)
field("uint8", "flags.unknown", "not defined", base.HEX, nil, 0x7e)
field("uint16", "zero", "zero", base.HEX)
field("uint32", "id", "id")
field("bytes", "payload", "payload")
field("string", "payload.text", "payload as text")
field("framenum", "message.first_in", "The message begins in packet", base.NONE)
field("framenum", "message.last_in", "The message ends in packet", base.NONE)
field("uint32", "message.chunk", "This is chunk")
field("uint32", "message.chunks", "Chunks of the message")
field("uint64", "message.length", "Length of the message", UNIT, BYTES)
field("framenum", "request_in", "Request in packet", base.NONE, frametype.REQUEST)
field("framenum", "response_in", "Ending in packet", base.NONE, frametype.RESPONSE)
field("relative_time", "time", "Time from the whole request to its ending")
field("uint64", "ping.nonce", "nonce")
field("uint64", "pong.nonce", "nonce")
field("uint32", "pong.queued", "queued", UNIT, BYTES)
field("uint32", "pong.in_flight", "in flight")
field("uint32", "pong.longest", "longest", UNIT, MS)
field("framenum", "ping_in", "PING in packet", base.NONE, frametype.REQUEST)
field("framenum", "pong_in", "PONG in packet", base.NONE, frametype.RESPONSE)
field("relative_time", "rtt", "Round trip")
field("uint64", "credit.limit", "limit")
field("uint64", "credit.handled", "handled")
for _, frame in ipairs { "hello", "welcome" } do
    field("uint8", frame .. ".major", "major")
    field("uint8", frame .. ".minor", "minor")
    field("uint16", frame .. ".flags", "flags", base.HEX)
    if frame == "hello" then field("bool", "hello.flags.short", "SHORT", 16, nil, 0x0001) end
    field("uint32", frame .. ".ping_every", "ping_every", UNIT, MS)
    field("uint32", frame .. ".dead_after", "dead_after", UNIT, MS)
    field("uint32", frame .. ".max_frame", "max_frame", UNIT, BYTES)
    field("uint32", frame .. ".max_message", "max_message", UNIT, BYTES)
end
field("uint32", "welcome.max_in_flight", "max_in_flight")
field("uint32", "welcome.max_queued", "max_queued", UNIT, BYTES)
field("uint64", "welcome.connection", "connection")
field("uint16", "option.tag", "tag", base.HEX, OPTION_NAMES)
field("uint16", "option.length", "length", UNIT, BYTES)
field("bytes", "option.token", "TOKEN")
field("string", "option.name", "NAME")
field("string", "option.agent", "AGENT")
field("uint64", "option.credit", "limit")
field("uint32", "option.answers.max_in_flight", "max_in_flight")
field("uint32", "option.answers.max_queued", "max_queued", UNIT, BYTES)
field("bytes", "option.value", "value")
field("uint32", "last_id", "last_id")
field("uint16", "code", "code", base.DEC, CODE_NAMES)
field("uint16", "code.zero", "zero", base.HEX)
field("uint32", "retry_after", "retry_after", UNIT, MS)
field("uint32", "spread", "spread", UNIT, MS)
field("string", "text", "text")
field("relative_time", "silence", "Nothing was heard of the other side for")
field("uint32", "unanswered", "Unanswered request")
field("uint32", "unanswered.count", "Unanswered requests")
field("bytes", "undissected", "Bytes")
field("string", "requirement", "Requirement")
lifeline.fields = field_list

-- What the layers below say about the packet.
local tcp_stream, tcp_completeness = Field.new("tcp.stream"), Field.new("tcp.completeness")
local tcp_seq, tcp_len, tcp_ack = Field.new("tcp.seq"), Field.new("tcp.len"), Field.new("tcp.ack")

--- The value of a field in the innermost TCP header, nil where there is none.
local function innermost(extractor)
    local all = { extractor() }
    return #all > 0 and all[#all].value or nil
end

-- ---------------------------------------------------------------------------------------------------------------------
-- Text for persons
-- ---------------------------------------------------------------------------------------------------------------------

local function bytes_of(count) return string.format(count == 1 and "%d byte" or "%d bytes", count) end

local function duration(seconds)
    return seconds < 1 and string.format("%.1f ms", seconds * 1000) or string.format("%.1f s", seconds)
end

local UTF8 = {
    "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]",
    "\244[\128-\143][\128-\191][\128-\191]", "\224[\160-\191][\128-\191]", "\237[\128-\159][\128-\191]",
    "[\225-\236\238\239][\128-\191][\128-\191]", "[\194-\223][\128-\191]",
}
local function is_utf8(text)
    -- A sequence gives way to a space and not to nothing, or what stood around it could become one.
    for _, pattern in ipairs(UTF8) do text = text:gsub(pattern, " ") end
    return not text:find("[\128-\255]")
end

--- Text of a peer, with control characters, and bytes that are not UTF-8, escaped (11-3).
local function quote(text)
    local pattern = is_utf8(text) and "[\0-\31\127\"\\]" or "[\0-\31\127-\255\"\\]"
    return '"' .. text:gsub(pattern, function(byte) return string.format("\\x%02x", byte:byte()) end) .. '"'
end

local function code_name(code) return CODE_NAMES[code] or string.format("code %d", code) end

--- Names what came in place of the preface (3.2-5).
local function protocol_of(text)
    if text:find("^%u+ ") then return "HTTP" end
    if text:find("^\22\3") then return "TLS" end
    if text:find("^SSH%-") then return "SSH" end
    local hexadecimal = text:sub(1, 8):gsub(".", function(byte) return string.format(" %02x", byte:byte()) end)
    return "bytes" .. hexadecimal
end

--- The length of the header of the PROXY protocol (section 12) that `bytes` begin with; nil where they are none. Where they
--- may become one: 0, and how many bytes that needs.
local function proxy_header(bytes)
    local line, signature = "PROXY ", "\13\10\13\10\0\13\10QUIT\10"
    if bytes:sub(1, #line) == line:sub(1, #bytes) then
        local _, stop = bytes:sub(1, 107):find("\13\10", 1, true)
        return stop or #bytes < 107 and 0 or nil, DESEGMENT_ONE_MORE_SEGMENT
    end
    if bytes:sub(1, #signature) ~= signature:sub(1, #bytes) then return nil end
    if #bytes < 16 then return 0, 16 - #bytes end
    local length = 16 + bytes:byte(15) * 256 + bytes:byte(16)
    return #bytes < length and 0 or length, length - #bytes
end

-- ---------------------------------------------------------------------------------------------------------------------
-- Tracking: what is known of a connection, built up from its first packet to its last
-- ---------------------------------------------------------------------------------------------------------------------

local connections -- by the number of the TCP stream
local calls -- what was found in a packet, by its number and the place of the bytes in it

function lifeline.init()
    connections, calls = {}, {}
end

local function fault(record, name, detail)
    local rule = rules[name]
    local text = (rule.requirement and rule.requirement .. ": " or "") .. rule.text .. (detail and ", " .. detail or "")
    record.faults[#record.faults + 1] = { rule = rule, text = text }
end

-- `requests` and `highest` are those of the side that asks: the ids of the two sides are independent (3.7-3). Of its
-- messages, `spent` is what they cost, `sent` how many are whole; `limit` and `confirmed` are what it was told of them.
local function new_side(key)
    return { key = key, stage = "preface", pings = 0, answered = 0, bulk = 0, nonces = {}, requests = {}, highest = 0,
        spent = 0, sent = 0, limit = 0, confirmed = 0 }
end

local function side_of(connection, key)
    if not connection.sides[key] then connection.sides[key] = new_side(key) end
    return connection.sides[key]
end

--- Finds out which side is the client: by the port, else by a frame that one side alone may send (CLOSE as the first is
--- the server's, 3.3-6), else the side with the higher port is taken for it until such a frame comes.
local function settle_roles(connection, side, peer, pinfo, kind)
    local port = lifeline.prefs.port
    if connection.settled then return end
    if pinfo.dst_port == port and pinfo.src_port ~= port then
        connection.client, connection.settled = side.key, true
    elseif pinfo.src_port == port and pinfo.dst_port ~= port then
        connection.client, connection.settled = peer.key, true
    elseif kind and kind.from then
        connection.client, connection.settled = (kind.from == "client" and side or peer).key, true
    elseif kind == KINDS[CLOSE] and not side.greeted and connection.complete then
        connection.client, connection.settled = peer.key, true
    elseif not connection.client then
        connection.client = (pinfo.src_port > pinfo.dst_port and side or peer).key
    end
end

local function is_client(connection, side) return connection.client == side.key end

--- The limits that the receiver of this side's frames has stated; nil where they were not seen.
local function receiver_limits(connection, side)
    if is_client(connection, side) then return connection.welcome end
    return connection.hello
end

--- The rules of 1.1 hold where WELCOME says so (4.2-2).
local function speaks_1_1(connection) return connection.welcome ~= nil and connection.welcome.minor >= 1 end

--- Requests of the server are allowed (3.7-1).
local function has_answers(connection)
    return speaks_1_1(connection) and connection.hello ~= nil and connection.hello.answers ~= nil
        and not connection.short
end

--- Credit is in force (section 3.8).
local function has_credit(connection)
    return speaks_1_1(connection) and connection.hello ~= nil and connection.hello.credit ~= nil
        and connection.welcome.credit ~= nil and not connection.short
end

--- What a type is on this connection. Where the greeting was not seen, nobody knows whether CREDIT is in force.
local function kind_of(connection, type)
    local unknown = connection.partial and not connection.hello
    return (type ~= CREDIT or unknown or has_credit(connection)) and KINDS[type] or nil
end

--- The side that asks: REQUEST and CANCEL are its own, RESPONSE and FAILURE come from the other one.
local function asker_of(side, type) return (type == REQUEST or type == CANCEL) and side or side.peer end

local function read_header(tvb, offset)
    local header = { length = tvb(offset, 4):uint(), type = tvb(offset + 4, 1):uint(),
        flags = tvb(offset + 5, 1):uint(), zero = tvb(offset + 6, 2):uint(), id = tvb(offset + 8, 4):uint() }
    header.kind = KINDS[header.type]
    header.more = header.flags % 2 == 1
    header.ignorable = header.flags >= 128
    header.unknown_flags = header.flags % 128 >= 2
    return header
end

--- The first check of a header that fails, in the order of section 9, H1 to H16; nil where all pass.
local function judge_header(connection, side, header)
    header.kind = kind_of(connection, header.type)
    local kind, client, whole_history = header.kind, is_client(connection, side), not connection.partial
    local asker = asker_of(side, header.type)
    local limits = receiver_limits(connection, side)
    if header.zero ~= 0 then return "reserved" end
    if header.unknown_flags then return "unknown_flag" end
    if not kind and not header.ignorable then return "unknown_type" end
    if header.more and not (kind and kind.chunks) then return "more" end
    if kind and kind.from and kind.from ~= (client and "client" or "server")
        and not (OF_REQUESTS[header.type] and has_answers(connection)) then
        return "direction", kind.name
    end
    if not side.greeted and whole_history then
        if not kind then return "unknown_first" end
        if client and header.type ~= HELLO then return "first_of_client", "but " .. kind.name end
        if not client and header.type ~= WELCOME and header.type ~= CLOSE then
            return "first_of_server", "but " .. kind.name
        end
    end
    if header.type == HELLO and connection.hello or header.type == WELCOME and connection.welcome then
        return "greeting_again"
    end
    if kind and kind.has_id and header.id == 0 then return "id", "is 0 in " .. kind.name end
    if kind and not kind.has_id and header.id ~= 0 then return "id", "is not 0 in " .. kind.name end
    if kind and kind.most and header.length > kind.most then
        return "too_long", string.format("%d and at most %d", header.length, kind.most)
    end
    if not (kind and kind.most) and limits and header.length > limits.max_frame then
        return "over_max_frame", string.format("%d and at most %d", header.length, limits.max_frame)
    end
    if kind and header.length < kind.least then
        return "too_short", string.format("%d and at least %d", header.length, kind.least)
    end
    if header.more and header.length == 0 then return "more_empty" end

    local open = kind and kind.chunks and side.open
    if open and open.type ~= header.type then return "other_message", KINDS[open.type].name .. " is open" end
    if open and open.id ~= header.id then return "other_chunk", string.format("%d is open", open.id) end
    local request = kind and kind.has_id and asker.requests[header.id]
    local begins = header.type == REQUEST and not open
    if begins and header.id <= asker.highest then
        if request and request.cancelled and not request.whole then return "chunk_after_cancel" end
        return "request_id", string.format("the highest is %d", asker.highest)
    end
    if kind and kind.chunks and limits and (open and open.length or 0) + header.length > limits.max_message then
        return "over_max_message", string.format("%d and at most %d", (open and open.length or 0) + header.length,
            limits.max_message)
    end
    if header.type == CANCEL and header.id > asker.highest and whole_history then return "cancel_id" end
    if header.type == RESPONSE or header.type == FAILURE then
        if not request and whole_history then return "ending_unknown" end
        if request and request.ended then return "ending_again" end
        if request and not request.whole and header.type == RESPONSE and whole_history then return "response_early" end
    end
    if begins and side.goaway and client then return "request_after_goaway" end
    if connection.short and client and (header.type == MESSAGE or header.type == GOAWAY) then
        return "short_client", kind.name
    end
    if connection.short and begins and asker.highest > 0 then return "short_client", "a second request" end
    if connection.short and not client and header.type == MESSAGE then return "short_message" end
    if header.type == MESSAGE and not open and has_credit(connection) and side.spent >= side.limit and whole_history then
        return "over_credit", string.format("the messages before it cost %d, and the limit is %d", side.spent, side.limit)
    end
end

--- The options from `offset` to `stop`, and whether they fill that place exactly.
local function read_options(tvb, offset, stop)
    local options = {}
    while stop - offset >= 4 do
        local length = tvb(offset + 2, 2):uint()
        if offset + 4 + length > stop then return options, false, offset end
        options[#options + 1] = { tag = tvb(offset, 2):uint(), offset = offset, length = length,
            value = length > 0 and tvb:raw(offset + 4, length) or "" }
        offset = offset + 4 + length
    end
    return options, offset == stop, offset
end

--- The value of CREDIT; a limit beyond 2^53 is as good as its neighbour.
local function read_limit(tvb, offset) return tonumber(tostring(tvb(offset, 8):uint64())) end

--- The first fault of the options of HELLO or WELCOME, one after the other (G12 to G18, G22, G23).
local function judge_options(record, greeting, tvb, offset, stop, in_hello)
    local options, complete = read_options(tvb, offset, stop)
    local seen = {}
    for _, option in ipairs(options) do
        local tag, name = option.tag, OPTION_NAMES[option.tag]
        if name and (in_hello or tag == AGENT or tag == FIRST_LIMIT) then
            if seen[tag] then return "option_twice", name end
            seen[tag] = true
            if tag == TOKEN and option.length > 256 then return "token_long" end
            if tag == NAME and option.length > 64 then return "name_long" end
            if (tag == FIRST_LIMIT or tag == ANSWERS) and option.length ~= 8 then
                return "option_length", string.format("%s has %d", name, option.length)
            end
            if tag == FIRST_LIMIT then
                greeting.credit = read_limit(tvb, option.offset + 4)
                record.title = string.format("%s, CREDIT %.0f", record.title, greeting.credit)
            elseif tag == ANSWERS then
                local most, bytes = tvb(option.offset + 4, 4):uint(), tvb(option.offset + 8, 4):uint()
                if most == 0 then return "answers_none" end
                greeting.answers = { max_in_flight = most, max_queued = bytes }
                record.title = string.format("%s, ANSWERS %d, %d", record.title, most, bytes)
            elseif tag ~= TOKEN and not is_utf8(option.value) then
                return "utf8", name
            end
            if tag == NAME then record.title = record.title .. ", NAME " .. quote(option.value) end
        elseif tag >= 0x8000 then
            return "option_unknown", string.format("0x%04x", tag)
        else
            fault(record, name and "option_of_hello" or "option_skipped", name or string.format("0x%04x", tag))
        end
    end
    if not complete then return "options_end" end
end

local function read_greeting(tvb, payload)
    return { major = tvb(payload, 1):uint(), minor = tvb(payload + 1, 1):uint(), flags = tvb(payload + 2, 2):uint(),
        ping_every = tvb(payload + 4, 4):uint(), dead_after = tvb(payload + 8, 4):uint(),
        max_frame = tvb(payload + 12, 4):uint(), max_message = tvb(payload + 16, 4):uint() }
end

local function judge_hello(record, hello, tvb, payload, stop)
    if hello.major ~= 1 then return "major", string.format("%d", hello.major) end
    if hello.flags > 1 then return "hello_flags" end
    if hello.max_frame < 256 then return "max_frame" end
    return judge_options(record, hello, tvb, payload + 20, stop, true)
end

local function judge_welcome(record, hello, welcome, tvb, payload, stop)
    local half = math.floor(welcome.dead_after / 2)
    if welcome.major ~= 1 then return "major", string.format("%d", welcome.major) end
    if hello and welcome.minor > hello.minor then return "welcome_minor" end
    if welcome.flags ~= 0 then return "welcome_flags" end
    if welcome.max_frame < 256 then return "max_frame" end
    if welcome.dead_after < 100 then return "dead_after", string.format("%d", welcome.dead_after) end
    if welcome.ping_every < 20 or welcome.ping_every > half then
        return "ping_every", string.format("%d", welcome.ping_every)
    end
    if welcome.max_in_flight == 0 then return "max_in_flight" end
    local name, detail = judge_options(record, welcome, tvb, payload + 36, stop, false)
    if name then return name, detail end
    if not hello then return end
    if welcome.credit and (welcome.minor < 1 or hello.flags % 2 == 1 or not hello.credit) then return "credit_alone" end
    if hello.dead_after ~= 0 and welcome.dead_after > math.max(hello.dead_after, 100) then
        return "dead_after_asked", string.format("%d and %d", welcome.dead_after, hello.dead_after)
    end
    local wanted = hello.ping_every ~= 0 and hello.ping_every or math.floor(welcome.dead_after / 3)
    wanted = math.min(math.max(wanted, 20), half)
    if welcome.ping_every ~= wanted then
        return "terms", string.format("%d and should be %d", welcome.ping_every, wanted)
    end
    if welcome.max_queued < welcome.max_message then return "max_queued" end
end

--- FAILURE, GOAWAY and CLOSE have the same things in other places.
local function read_notice(type, tvb, payload, stop)
    local at = type == CLOSE and payload + 4 or payload
    local text_at = type == FAILURE and payload + 8 or payload + 12
    return { at = at, text_at = text_at, code = tvb(at, 2):uint(), zero = tvb(at + 2, 2):uint(),
        retry_after = tvb(at + 4, 4):uint(), spread = type == GOAWAY and tvb(at + 8, 4):uint() or nil,
        last_id = type == CLOSE and tvb(payload, 4):uint() or nil,
        text = stop > text_at and tvb:raw(text_at, stop - text_at) or "" }
end

local function judge_notice(record, type, notice)
    local code = CODES[notice.code]
    if notice.zero ~= 0 then return fault(record, "zero") end
    if not is_utf8(notice.text) then return fault(record, "utf8", "the text") end
    if type == FAILURE and notice.code == NORMAL then
        fault(record, "failure_normal")
    elseif not code then
        fault(record, "code_unknown", string.format("%d", notice.code))
    elseif not code[2]:find(KINDS[type].name:sub(1, 1), 1, true) then
        fault(record, "code_elsewhere", code[1] .. " in " .. KINDS[type].name)
    end
    if type == CLOSE and notice.code ~= NORMAL and notice.text == "" then fault(record, "no_text") end
    if type == CLOSE and notice.code == BUSY and notice.retry_after == 0 then fault(record, "no_retry_after") end
    if type == FAILURE and notice.code == REFUSED and #notice.text > 64 then fault(record, "refusal_long") end
end

--- Takes one from the bucket of those who hear `side` (section 5.10).
local function take_from_bucket(connection, side, record, time)
    local welcome = connection.welcome
    if not welcome then return end
    local tokens = side.tokens or 20
    tokens = math.min(20, tokens + (time - (side.tokens_at or time)) / (welcome.ping_every / 2000))
    if tokens < 1 then fault(record, "bucket") else tokens = tokens - 1 end
    side.tokens, side.tokens_at = tokens, time
end

--- Judges when things came: late PINGs and silence. A frame over several segments says little about times, because its
--- earlier bytes were heard too.
local function judge_times(connection, side, peer, record, time)
    local welcome, client = connection.welcome, is_client(connection, side)
    if not welcome or connection.partial or peer.closed or record.reassembled then return end
    local dead_after, slack = welcome.dead_after / 1000, welcome.dead_after / 10000
    local silence = time - math.max(side.heard or 0, connection.welcome_time)
    if silence > dead_after then fault(record, "silence", duration(silence)) end
    if client and silence > dead_after / 2 + slack and (peer.ping_time or 0) < time - silence then
        fault(record, "server_ping_late", "silent for " .. duration(silence))
    end
    if speaks_1_1(connection) and silence > dead_after / 2 + slack then
        fault(record, "nothing_sent", "silent for " .. duration(silence))
    end
    if client and not connection.ping_late then
        -- The first PING is counted from WELCOME, whatever proof has come.
        local base = side.ping_time and math.max(side.ping_time, connection.proof_time or 0) or connection.welcome_time
        if time - base > welcome.ping_every / 1000 + slack then
            connection.ping_late = true
            fault(record, side.ping_time and "ping_late" or "first_ping_late",
                string.format("%s, and ping_every is %d ms", duration(time - base), welcome.ping_every))
        end
    end
end

local apply = {} -- by type: what a frame that broke no rule of the header changes, and the faults of its payload

apply[HELLO] = function(connection, _, _, record, tvb, payload, stop)
    local hello = read_greeting(tvb, payload)
    connection.hello, connection.short = hello, hello.flags % 2 == 1
    record.title = string.format("HELLO %d.%d, %s", hello.major, hello.minor, connection.short and "short" or "long")
    local name, detail = judge_hello(record, hello, tvb, payload, stop)
    if name then fault(record, name, detail) end
end

apply[WELCOME] = function(connection, side, peer, record, tvb, payload, stop, time)
    local welcome = read_greeting(tvb, payload)
    welcome.max_in_flight, welcome.max_queued = tvb(payload + 20, 4):uint(), tvb(payload + 24, 4):uint()
    connection.welcome, connection.welcome_time = welcome, time
    record.title = string.format("WELCOME %d.%d, ping_every %d ms, dead_after %d ms", welcome.major, welcome.minor,
        welcome.ping_every, welcome.dead_after)
    local name, detail = judge_welcome(record, connection.hello, welcome, tvb, payload, stop)
    if name then fault(record, name, detail) end
    if has_credit(connection) then side.limit, peer.limit = connection.hello.credit, welcome.credit end
    if not connection.hello and not connection.partial then fault(record, "welcome_alone") end
end

apply[PING] = function(connection, side, _, record, tvb, payload, _, time)
    local nonce = tostring(tvb(payload, 8):uint64())
    if side.nonces[nonce] then fault(record, "nonce_again") end
    side.pings = side.pings + 1
    side.nonces[nonce] = { index = side.pings, number = record.number, time = time }
    side.ping_time = time
    if is_client(connection, side) then connection.ping_late = nil end
    record.ping = side.nonces[nonce]
    record.title = "PING " .. nonce
    -- In 1.1 one behind messages costs nothing (5.10).
    if not speaks_1_1(connection) or side.bulk < 1024 then take_from_bucket(connection, side, record, time) end
    side.bulk = 0
end

apply[PONG] = function(connection, side, peer, record, tvb, payload, _, time)
    local nonce = tostring(tvb(payload, 8):uint64())
    local ping = peer.nonces[nonce]
    record.title = "PONG " .. nonce
    if not ping then
        if not connection.partial then fault(record, "pong_unknown") end
    elseif ping.index <= peer.answered then
        fault(record, "pong_again")
    else
        peer.answered = ping.index -- and with it all before it (5.4-4)
        ping.pong, ping.rtt = record.number, time - ping.time
        record.pong_of = ping
        record.title = record.title .. ", round trip " .. duration(ping.rtt)
    end
    if is_client(connection, side) then
        if tvb:raw(payload + 8, 12) ~= ("\0"):rep(12) then fault(record, "load_of_client") end
    else
        connection.proof_time = time
    end
end

local function end_request(request, record, time)
    if not request then return end
    request.ended, request.time = record.number, time - (request.whole_time or request.began_time)
    record.ends = true
    record.title = record.title .. ", after " .. duration(request.time)
end

--- REQUEST 7, or REQUEST 7 of the server.
local function name_of(connection, side, header)
    local kind, own = header.kind, is_client(connection, side) and "client" or "server"
    local name = kind.name .. (kind.has_id and string.format(" %d", header.id) or "")
    return kind.from and kind.from ~= own and name .. " of the " .. own or name
end

local function count_unanswered(asker)
    local count = 0
    for _, request in pairs(asker.requests) do if not request.ended then count = count + 1 end end
    return count
end

local function apply_chunk(connection, side, peer, record, _, _, _, time)
    local header, client = record.header, is_client(connection, side)
    local message = side.open or { type = header.type, id = header.id, first = record.number, count = 0, length = 0 }
    message.count, message.length = message.count + 1, message.length + header.length
    side.bulk = side.bulk + HEADER + header.length -- since the last PING
    record.message, record.chunk = message, message.count
    local name = name_of(connection, side, header)
    if header.more then
        record.title = string.format("%s, chunk %d (%s)", name, message.count, bytes_of(header.length))
        side.open = message
    elseif message.count > 1 then
        record.title = string.format("%s, last of %d chunks (%s in all)", name, message.count, bytes_of(message.length))
    else
        record.title = string.format("%s (%s)", name, bytes_of(header.length))
    end
    if not header.more then message.last, side.open = record.number, nil end
    if header.length > 16384 then fault(record, "payload_long") end

    if header.type == REQUEST then
        local request = message.request
        if not request then
            request = { id = header.id, began = record.number, began_time = time }
            message.request, side.requests[header.id] = request, request
            side.highest = header.id
            if client then connection.early = (connection.early or 0) + 1 end
            if peer.goaway then fault(record, client and "request_after_server_goaway" or "asked_after_goaway") end
            local most = not client and has_answers(connection) and connection.hello.answers.max_in_flight
            local count = most and count_unanswered(side)
            if most and count > most then
                fault(record, "over_answers", string.format("%d and at most %d", count, most))
            end
        end
        if not header.more then request.whole, request.whole_time = record.number, time end
        record.request = request
        if client and not connection.welcome and not connection.partial then
            if header.length > 256 then fault(record, "early_long") end
            if connection.early > 1 or message.length > 16384 then fault(record, "early_much") end
        end
    elseif header.type == RESPONSE then
        record.request = peer.requests[header.id]
        if message.count == 1 and not client then connection.proof_time = time end
        if record.request then record.request.handled = true end
        if not header.more then end_request(record.request, record, time) end
    else
        side.spent = side.spent + header.length + (message.count == 1 and HEADER or 0)
        if not header.more then side.sent = side.sent + 1 end
    end
    if header.type == MESSAGE and message.count == 1 and not header.more and header.length == 0 and not speaks_1_1(connection) then
        take_from_bucket(connection, side, record, time)
    end
end
apply[REQUEST], apply[RESPONSE], apply[MESSAGE] = apply_chunk, apply_chunk, apply_chunk

apply[CANCEL] = function(connection, side, _, record, _, _, _, time)
    local id = record.header.id
    record.request = side.requests[id]
    if record.request then record.request.cancelled = true end
    if side.open and side.open.type == REQUEST and side.open.id == id then side.open = nil end
    record.title = name_of(connection, side, record.header)
    take_from_bucket(connection, side, record, time)
end

apply[CREDIT] = function(connection, side, peer, record, tvb, payload)
    local limit, handled = read_limit(tvb, payload), read_limit(tvb, payload + 8)
    record.title = string.format("CREDIT %.0f, %.0f handled", limit, handled)
    if handled > peer.sent and not connection.partial then
        fault(record, "handled_above", string.format("%d were sent", peer.sent))
    end
    peer.limit, peer.confirmed = math.max(peer.limit, limit), math.max(peer.confirmed, math.min(handled, peer.sent))
end

apply[FAILURE] = function(connection, side, peer, record, tvb, payload, stop, time)
    local id, notice = record.header.id, read_notice(FAILURE, tvb, payload, stop)
    record.request = peer.requests[id]
    if record.request and notice.code == HANDLER_FAILED then record.request.handled = true end
    -- What came of the response is discarded (4.9-2).
    if side.open and side.open.type == RESPONSE and side.open.id == id then side.open = nil end
    record.title = name_of(connection, side, record.header) .. " " .. code_name(notice.code)
    if notice.text ~= "" then record.title = record.title .. " " .. quote(notice.text) end
    end_request(record.request, record, time)
    judge_notice(record, FAILURE, notice)
end

apply[GOAWAY] = function(_, side, _, record, tvb, payload, stop)
    local notice = read_notice(GOAWAY, tvb, payload, stop)
    side.goaway = true
    record.title = "GOAWAY " .. code_name(notice.code)
    if notice.retry_after > 0 or notice.spread > 0 then
        record.title = string.format("%s, come back after %d...%d ms", record.title, notice.retry_after,
            notice.retry_after + notice.spread)
    end
    if notice.text ~= "" then record.title = record.title .. " " .. quote(notice.text) end
    judge_notice(record, GOAWAY, notice)
end

apply[CLOSE] = function(connection, side, peer, record, tvb, payload, stop, time)
    local client, notice = is_client(connection, side), read_notice(CLOSE, tvb, payload, stop)
    local known, welcome = not connection.partial, connection.welcome
    side.closed, side.stage = true, "closed"
    record.title = "CLOSE " .. code_name(notice.code)
    if not client or notice.last_id ~= 0 then
        record.title = string.format("%s last_id %d", record.title, notice.last_id)
    end
    if notice.text ~= "" then record.title = record.title .. " " .. quote(notice.text) end
    judge_notice(record, CLOSE, notice)

    local function unanswered_of(asker)
        local ids = {}
        for id, request in pairs(asker.requests) do if not request.ended then ids[#ids + 1] = id end end
        table.sort(ids)
        return ids
    end
    local function tell(asker, ids, whose)
        if #ids == 0 then return end
        local above = {}
        for _, id in ipairs(ids) do if id > notice.last_id then above[#above + 1] = id end end
        fault(record, "unanswered", whose .. table.concat(ids, " ") .. (asker == peer and #above > 0
            and "; never processed (above last_id): " .. table.concat(above, " ") or ""))
    end
    local ofClient, ofServer = client and side or peer, client and peer or side
    record.unanswered = unanswered_of(ofClient)
    tell(ofClient, record.unanswered, "")
    tell(ofServer, unanswered_of(ofServer), "of the server: ")
    if has_credit(connection) and side.sent > side.confirmed then
        fault(record, "unhandled", string.format("%d of %d of the %s", side.sent - side.confirmed, side.sent,
            client and "client" or "server"))
    end
    -- What the side that says CLOSE was asked: the highest id, whether that is ended, and the highest that it answered.
    local handled, last, last_ended = 0, peer.highest, false
    for id, request in pairs(peer.requests) do
        if request.handled then handled = math.max(handled, id) end
        if id == last then last_ended = request.ended end
    end
    if known then
        if notice.last_id > last then
            fault(record, client and "last_id_of_client" or "last_id_above", string.format("the highest is %d", last))
        end
        if notice.last_id < handled then fault(record, "last_id_below", string.format("%d was answered", handled)) end
    end
    if not client and known then
        if connection.short and last_ended and notice.last_id ~= last then fault(record, "short_end", "last_id") end
        if notice.code == SHUTTING_DOWN and welcome and not connection.short and not side.goaway then
            fault(record, "no_goaway")
        end
    end
    if notice.code == SILENT and welcome and known then
        local dead_after = welcome.dead_after / 1000
        record.silence = time - math.max(peer.heard or 0, connection.welcome_time)
        -- The clock of the capture is one that may be set (5.11-1), so a hundredth is let pass.
        if record.silence < dead_after * 0.99 then
            fault(record, "silent_early", "after " .. duration(record.silence))
        end
        if not client and record.silence > dead_after * 0.6 and (side.ping_time or 0) < time - record.silence then
            fault(record, "server_ping_late", "silent for " .. duration(record.silence))
        end
    end
end

--- What may be said of a frame only with the other frames of its connection in view.
local function track_frame(connection, side, peer, record, tvb, time)
    local header, payload = record.header, record.offset + HEADER
    local client = is_client(connection, side)
    header.kind = kind_of(connection, header.type)
    record.title = header.kind and header.kind.name or string.format("type 0x%02x, skipped", header.type)
    if header.kind and header.kind.has_id then record.title = string.format("%s %d", record.title, header.id) end
    judge_times(connection, side, peer, record, time)
    local name, detail = judge_header(connection, side, header)
    side.greeted = true
    if name then return fault(record, name, detail) end
    if client and not connection.welcome and not connection.partial and header.type ~= HELLO and header.type ~= REQUEST
        and header.type ~= CANCEL and header.type ~= CLOSE then
        fault(record, "early_type", header.kind and header.kind.name or record.title)
    end
    if connection.short and not client and header.type ~= CLOSE and peer.highest > 0 then
        local request = peer.requests[peer.highest]
        if request and request.ended then fault(record, "short_end", record.title) end
    end
    if record.present < header.length then
        fault(record, "cut")
        if not header.kind or not header.kind.chunks then return end
    end
    if header.kind then
        apply[header.type](connection, side, peer, record, tvb, payload, payload + header.length, time)
    end
end

-- ---------------------------------------------------------------------------------------------------------------------
-- The stream: where frames begin and end
-- ---------------------------------------------------------------------------------------------------------------------

--- How far `a` is ahead of `b` in a space of sequence numbers that wraps around.
local function ahead(a, b)
    local distance = (a - b) % WRAP
    return distance < WRAP / 2 and distance or distance - WRAP
end

local function is_plausible(tvb, offset, size)
    if size - offset < HEADER then return false end
    local header = read_header(tvb, offset)
    local kind = header.kind
    return kind and header.zero == 0 and not header.unknown_flags and not (header.more and not kind.chunks)
        and header.length >= kind.least and header.length <= (kind.most or 16777216)
        and (header.id ~= 0) == (kind.has_id or false), header.length
end

--- Where, from `offset` on, a frame seems to begin: its header may be one, and it ends with the segment or before
--- another such header. Only at the very beginning of a segment may it go on beyond the end.
local function find_boundary(tvb, offset, size)
    for at = offset, size - HEADER do
        local plausible, length = is_plausible(tvb, at, size)
        local stop = plausible and at + HEADER + length
        if plausible and (stop == size or stop > size and at == offset or is_plausible(tvb, stop, size)) then
            return at
        end
    end
end

--- Analyses the bytes of one call: the records to be shown, and how much more is needed behind them.
local function analyse(connection, side, peer, tvb, pinfo)
    local call = { records = {}, first = side.number ~= pinfo.number }
    local size, reported, time = tvb:captured_len(), tvb:reported_len(), pinfo.rel_ts
    -- Bytes that TCP has put together stand in a buffer of their own, and go on where we stopped. Others lie in the
    -- packet and reach to its end.
    local reassembled = tvb:offset() == 0
    local start = side.next
    if not reassembled or not start then start = (innermost(tcp_seq) + innermost(tcp_len) - reported) % WRAP end
    local offset, waits = 0, false
    local can_wait = pinfo.can_desegment > 0 and size == reported

    local function add(kind, length, title)
        local record = { kind = kind, offset = offset, size = math.min(length, size - offset), title = title,
            number = pinfo.number, reassembled = reassembled, client = is_client(connection, side), sender = side,
            faults = {} }
        call.records[#call.records + 1] = record
        offset = offset + length
        return record
    end
    local function wait(length)
        call.wait, call.wait_offset, waits = length, offset, true
    end

    local first = side.stage == "preface" and size > #PREFACE + 4 and tvb:raw(0, #PREFACE) == PREFACE
    settle_roles(connection, side, peer, pinfo, first and KINDS[tvb(#PREFACE + 4, 1):uint()] or nil)
    local lost -- why frames cannot be told apart, to be said with the next record
    if side.next then
        local gap = ahead(start, side.next)
        if ahead(start + reported, side.high) <= 0 and not reassembled then
            add("other", reported, side.frame and "goes on with the frame of packet " .. side.frame or "repeated bytes")
            return call
        elseif gap < 0 then
            local over = math.min(-gap, reported)
            add("other", over, side.frame and "goes on with the frame of packet " .. side.frame or "repeated bytes")
        elseif gap > 0 and (side.stage == "frames" or side.stage == "preface") then
            side.stage, side.open, connection.partial, lost = "lost", nil, true, "gap"
        end
    end

    -- Bytes that are acknowledged and were not seen are missing in the capture. One more is acknowledged with a FIN;
    -- what TCP collects for a frame of the other side we have not been shown yet.
    local ack, unseen = innermost(tcp_ack), false
    if peer.high and not peer.waits and ack and ahead(ack, peer.high) > 1 and not connection.partial then
        connection.partial, unseen = true, true
    end

    while offset < reported and not waits do
        local left = size - offset
        if left <= 0 then break end
        if side.stage == "preface" then
            local bytes = tvb:raw(offset, math.min(#PREFACE, left))
            local is_first = connection.complete and (start + offset) % WRAP == (side.begins or 1)
            local header, missing
            if is_first and not side.begins and is_client(connection, side) then
                header, missing = proxy_header(tvb:raw(offset, left))
            end
            if header and header > 0 then
                add("other", header, "a header of the PROXY protocol")
                side.begins = (start + offset) % WRAP
            elseif header and can_wait then
                wait(missing)
            elseif bytes == PREFACE then
                add("preface", #PREFACE, "preface")
                side.stage = "frames"
            elseif bytes == PREFACE:sub(1, #bytes) and can_wait then
                wait(#PREFACE - #bytes)
            elseif is_first then
                local protocol = protocol_of(tvb:raw(offset, left))
                local record = add("other", reported - offset, "no preface, but " .. protocol)
                fault(record, "preface_of_" .. (record.client and "client" or "server"), "but " .. protocol)
                record.protocol, side.stage = protocol, "bad"
            else
                side.stage, side.greeted, connection.partial, lost = "lost", true, true, "midstream"
            end
        elseif side.stage == "lost" then
            local at = find_boundary(tvb, offset, size)
            local record
            if at ~= offset then
                record = add("other", (at or reported) - offset, "(no frame can be told here)")
            end
            if at then
                side.stage, side.frame = "frames", nil
                call.lost = not record and lost or nil
            end
            if record and lost then fault(record, lost) end
            lost = record and nil or lost
        elseif side.stage == "closed" then
            local again = left >= HEADER and read_header(tvb, offset).type == CLOSE
            local record = add("other", reported - offset, "(behind CLOSE)")
            fault(record, again and "close_again" or "behind_close")
        elseif side.stage == "bad" then
            add("other", reported - offset, "(no Lifeline)")
        elseif left < HEADER then
            if can_wait then
                wait(DESEGMENT_ONE_MORE_SEGMENT)
            else
                fault(add("other", reported - offset, "(a part of a header)"), "cut")
                side.stage, connection.partial = "lost", true
            end
        else
            local header = read_header(tvb, offset)
            settle_roles(connection, side, peer, pinfo, header.kind)
            local missing = HEADER + header.length - left
            if missing > 0 and can_wait and not judge_header(connection, side, header) then
                wait(missing)
            else
                -- A frame that breaks a rule by its header is shown at once, as its receiver judges it (3.3-4): the
                -- rest of it may never come.
                local at = offset
                local record = add("frame", HEADER + header.length)
                record.header, record.present = header, record.size - HEADER
                if call.lost then
                    fault(record, call.lost)
                    call.lost, lost = nil, nil
                end
                track_frame(connection, side, peer, record, tvb, time)
                side.frame = at + HEADER + header.length > reported and pinfo.number or nil
            end
        end
    end
    if unseen and call.records[1] then fault(call.records[1], "gap", "of the other side") end
    side.next, side.number, side.waits = (start + offset) % WRAP, pinfo.number, waits
    local high = (start + reported) % WRAP
    if not side.high or ahead(high, side.high) > 0 then side.high = high end
    side.heard = time
    return call
end

-- ---------------------------------------------------------------------------------------------------------------------
-- Showing
-- ---------------------------------------------------------------------------------------------------------------------

local function generated(tree, name, value) tree:add(fields[name], value):set_generated() end

local function relative_time(seconds)
    local whole = math.floor(math.max(seconds, 0))
    return NSTime.new(whole, math.min(math.floor((seconds - whole) * 1e9 + 0.5), 999999999))
end

--- Adds fields that stand one behind the other; each is a name and a width.
local function add_all(tree, tvb, offset, list)
    for _, entry in ipairs(list) do
        tree:add(fields[entry[1]], tvb(offset, entry[2]))
        offset = offset + entry[2]
    end
end

local function add_text(tree, name, tvb, offset, length)
    if length > 0 then tree:add_packet_field(fields[name], tvb(offset, length), ENC_UTF_8) end
end

local function show_greeting(tree, tvb, payload, stop, name, rest)
    add_all(tree, tvb, payload, { { name .. ".major", 1 }, { name .. ".minor", 1 } })
    local flags = tree:add(fields[name .. ".flags"], tvb(payload + 2, 2))
    if name == "hello" then flags:add(fields["hello.flags.short"], tvb(payload + 2, 2)) end
    add_all(tree, tvb, payload + 4, { { name .. ".ping_every", 4 }, { name .. ".dead_after", 4 },
        { name .. ".max_frame", 4 }, { name .. ".max_message", 4 } })
    if name == "welcome" then
        add_all(tree, tvb, payload + 20, { { "welcome.max_in_flight", 4 }, { "welcome.max_queued", 4 },
            { "welcome.connection", 8 } })
    end
    local options, complete, stopped = read_options(tvb, rest, stop)
    for _, option in ipairs(options) do
        local title = "option " .. (OPTION_NAMES[option.tag] or string.format("0x%04x", option.tag))
        local item = tree:add(lifeline, tvb(option.offset, 4 + option.length), title)
        add_all(item, tvb, option.offset, { { "option.tag", 2 }, { "option.length", 2 } })
        local value = option.offset + 4
        if option.tag == NAME or option.tag == AGENT then
            add_text(item, option.tag == NAME and "option.name" or "option.agent", tvb, value, option.length)
        elseif option.tag == FIRST_LIMIT and option.length == 8 then
            item:add(fields["option.credit"], tvb(value, 8))
        elseif option.tag == ANSWERS and option.length == 8 then
            add_all(item, tvb, value, { { "option.answers.max_in_flight", 4 }, { "option.answers.max_queued", 4 } })
        elseif option.length > 0 then
            item:add(fields[option.tag == TOKEN and "option.token" or "option.value"], tvb(value, option.length))
        end
    end
    if not complete and stop > stopped then tree:add(fields["undissected"], tvb(stopped, stop - stopped)) end
end

local function show_notice(tree, tvb, payload, stop, type)
    local notice = read_notice(type, tvb, payload, stop)
    if type == CLOSE then tree:add(fields["last_id"], tvb(payload, 4)) end
    add_all(tree, tvb, notice.at, { { "code", 2 }, { "code.zero", 2 }, { "retry_after", 4 } })
    if type == GOAWAY then tree:add(fields["spread"], tvb(payload + 8, 4)) end
    add_text(tree, "text", tvb, notice.text_at, stop - notice.text_at)
end

local function show_payload(tree, tvb, record)
    local type, payload, stop = record.header.type, record.offset + HEADER, record.offset + HEADER + record.present
    local kind = record.header.kind
    local fits = kind and record.present == record.header.length and record.present >= kind.least
        and record.present <= (kind.most or record.present)
    if fits and type == HELLO then
        show_greeting(tree, tvb, payload, stop, "hello", payload + 20)
    elseif fits and type == WELCOME then
        show_greeting(tree, tvb, payload, stop, "welcome", payload + 36)
    elseif fits and type == PING then
        tree:add(fields["ping.nonce"], tvb(payload, 8))
    elseif fits and type == PONG then
        add_all(tree, tvb, payload, { { "pong.nonce", 8 }, { "pong.queued", 4 }, { "pong.in_flight", 4 },
            { "pong.longest", 4 } })
    elseif fits and type == CREDIT then
        add_all(tree, tvb, payload, { { "credit.limit", 8 }, { "credit.handled", 8 } })
    elseif fits and (type == FAILURE or type == GOAWAY or type == CLOSE) then
        show_notice(tree, tvb, payload, stop, type)
    elseif stop > payload then
        tree:add(fields["payload"], tvb(payload, stop - payload))
        local text = tvb:raw(payload, stop - payload)
        local is_text = not text:find("\0", 1, true) and is_utf8(text)
        if is_text then add_text(tree, "payload.text", tvb, payload, stop - payload) end
    end
end

--- What was found out about a frame by way of others; on the first look what follows it is not known yet.
local function show_relations(tree, record, again)
    local message, request, ping = record.message, record.request, record.ping
    local type = record.header.type
    if message and (message.count > 1 or record.header.more) then
        generated(tree, "message.chunk", record.chunk)
        generated(tree, "message.first_in", message.first)
        if message.last then generated(tree, "message.last_in", message.last) end
        if message.last then generated(tree, "message.chunks", message.count) end
    end
    if message and message.last then generated(tree, "message.length", UInt64(message.length)) end
    if request and type ~= REQUEST then generated(tree, "request_in", request.whole or request.began) end
    if request and request.ended and not record.ends then generated(tree, "response_in", request.ended) end
    if request and record.ends then generated(tree, "time", relative_time(request.time)) end
    if ping and ping.pong then
        generated(tree, "pong_in", ping.pong)
        generated(tree, "rtt", relative_time(ping.rtt))
    end
    if record.pong_of then
        generated(tree, "ping_in", record.pong_of.number)
        generated(tree, "rtt", relative_time(record.pong_of.rtt))
    end
    if record.silence then generated(tree, "silence", relative_time(record.silence)) end
    if record.unanswered then
        generated(tree, "unanswered.count", #record.unanswered)
        for _, id in ipairs(record.unanswered) do generated(tree, "unanswered", id) end
    end
    if again and type == REQUEST and request and not record.header.more and not request.ended then
        tree:add_proto_expert_info(rules["no_answer"].info, rules["no_answer"].text)
    end
    if again and ping and not ping.pong and ping.index > record.sender.answered then
        tree:add_proto_expert_info(rules["no_pong"].info, rules["no_pong"].text)
    end
end

local function show_record(tvb, tree, record, again)
    local item = tree:add(lifeline, tvb(record.offset, record.size), "Lifeline: " .. record.title)
    generated(item, "from", record.client and "client" or "server")
    if record.kind == "preface" then
        item:add(fields["preface"], tvb(record.offset, #PREFACE))
    elseif record.kind == "frame" then
        local header, at = record.header, record.offset
        item:add(fields["length"], tvb(at, 4))
        item:add(fields["type"], tvb(at + 4, 1))
        local flags = item:add(fields["flags"], tvb(at + 5, 1))
        for _, name in ipairs { "flags.more", "flags.ignorable", "flags.unknown" } do
            flags:add(fields[name], tvb(at + 5, 1))
        end
        flags:append_text((header.more and " MORE" or "") .. (header.ignorable and " IGNORABLE" or ""))
        add_all(item, tvb, at + 6, { { "zero", 2 }, { "id", 4 } })
        show_payload(item, tvb, record)
        show_relations(item, record, again)
    elseif record.size > 0 then
        item:add(fields["undissected"], tvb(record.offset, record.size))
        if record.protocol then generated(item, "preface.protocol", record.protocol) end
    end
    for _, found in ipairs(record.faults) do
        item:add_proto_expert_info(found.rule.info, found.text)
        if found.rule.requirement then generated(item, "requirement", found.rule.requirement) end
    end
end

--- A line of the info column: what the frames are, and which requirements they break.
local function info_of(record)
    local broken = {}
    for _, found in ipairs(record.faults) do
        if found.rule.broken then broken[#broken + 1] = found.rule.requirement end
    end
    return record.title .. (#broken > 0 and " [breaks " .. table.concat(broken, ", ") .. "]" or "")
end

function lifeline.dissector(tvb, pinfo, tree)
    local stream = innermost(tcp_stream)
    if not stream or tvb:reported_len() == 0 then return 0 end
    local source, destination = pinfo.src_port, pinfo.dst_port
    local here = string.format("%s %d", tostring(pinfo.src), source)
    local there = string.format("%s %d", tostring(pinfo.dst), destination)

    local key = string.format("%d %d %d", pinfo.number, tvb:offset(), tvb:reported_len())
    local call = calls[key]
    local again = call ~= nil
    if not call then
        local connection = connections[stream]
        if not connection then
            -- Whether SYN (1) and its answer (2) were seen, so that the first bytes are the first, in both directions.
            local complete = (innermost(tcp_completeness) or 0) % 4 == 3
            connection = { sides = {}, complete = complete, partial = not complete }
            connections[stream] = connection
        end
        local side, peer = side_of(connection, here), side_of(connection, there)
        side.peer, peer.peer = peer, side
        call = analyse(connection, side, peer, tvb, pinfo)
        calls[key] = call
    end

    if #call.records > 0 then
        pinfo.cols.protocol = "Lifeline"
        local lines = {}
        for _, record in ipairs(call.records) do lines[#lines + 1] = info_of(record) end
        -- A packet that ends one frame and holds others is dissected in two calls.
        if call.first then pinfo.cols.info:clear() else pinfo.cols.info:append(", ") end
        pinfo.cols.info:append(table.concat(lines, ", "))
        pinfo.cols.info:fence()
        for _, record in ipairs(call.records) do show_record(tvb, tree, record, again) end
    end
    if call.wait then
        pinfo.desegment_offset, pinfo.desegment_len = call.wait_offset, call.wait
    end
    return tvb:reported_len()
end

-- ---------------------------------------------------------------------------------------------------------------------
-- How connections are found: by the port, or by the preface
-- ---------------------------------------------------------------------------------------------------------------------

local function begins_with_preface(tvb, pinfo, tree)
    local size = tvb:captured_len()
    -- A header of a proxy in the same segment. One in a segment of its own says nothing of what follows it.
    local at = proxy_header(tvb:raw(0, math.min(size, 16 + 4096))) or 0
    if size < at + #PREFACE or tvb:raw(at, #PREFACE) ~= PREFACE then return false end
    pinfo.conversation = lifeline
    lifeline.dissector(tvb, pinfo, tree)
    return true
end
lifeline:register_heuristic("tcp", begins_with_preface)

local ports, registered = DissectorTable.get("tcp.port"), nil
local function register_port()
    if registered == lifeline.prefs.port then return end
    if registered then ports:remove(registered, lifeline) end
    registered = lifeline.prefs.port
    ports:add(registered, lifeline)
end
lifeline.prefs_changed = register_port
register_port()
