import Basics
import Testing

@testable import LifelineServer

@Suite("What is said on the control socket")
struct ControlTests {
    private static let requests: [ControlRequest] = [
        .status, .connections, .drop(7), .drop(.max), .drain, .reload, .penalties, .lift("192.0.2.7"),
        .logLevel(.debug), .logLevel(.error),
    ]

    @Test("A request is a line that gives back the request, whatever stands behind the line", arguments: requests)
    func roundTrip(_ request: ControlRequest) throws {
        #expect(request.line.hasPrefix("lifeline 1 ") && request.line.hasSuffix("\n"))
        let bytes = Array(request.line.utf8)
        #expect(try ControlRequest(bytes) == request)
        #expect(try ControlRequest(bytes + bytes) == request)
        #expect(try ControlRequest(Array(request.line.dropLast().utf8) + Array("\r\n".utf8)) == request)
        for length in 0..<bytes.count {
            #expect(try ControlRequest(Array(bytes.prefix(length))) == nil, "the line has not ended")
        }
    }

    @Test(
        "A line that is no request says what was wrong and what is expected",
        arguments: [
            ("\n", "bad_request"), ("lifeline\n", "bad_request"), ("lifeline 1\n", "bad_request"),
            ("lifeline 1 quark\n", "bad_request"), ("lifeline 1 drop\n", "bad_request"),
            ("lifeline 1 drop 0\n", "bad_request"), ("lifeline 1 drop -1\n", "bad_request"),
            ("lifeline 1 drop 1 2\n", "bad_request"), ("lifeline 1 drop 18446744073709551616\n", "bad_request"),
            ("lifeline 1 log-level loud\n", "bad_request"), ("lifeline 1 status now\n", "bad_request"),
            ("lifeline 1 push now\n", "bad_request"), ("lifeline 1 push\nLIFELINE", "bad_request"),
            ("lifeline 2 status\n", "bad_version"), ("GET / HTTP/1.1\n", "bad_request"),
            ("lifeline 1 \u{1B}[2J\u{0}\n", "bad_request"),
        ])
    func mistakes(_ line: String, _ error: String) throws {
        let mistake = try #require(throws: ControlRequestError.self) { _ = try ControlRequest(Array(line.utf8)) }
        #expect(mistake.error == error)
        #expect(mistake.text.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(mistake.text)")
    }

    @Test("Whoever wants to push sends nothing more before the verdict: what came with the line would be lost")
    func push() throws {
        let bytes = Array(ControlRequest.push.line.utf8)
        #expect(try ControlRequest(bytes) == .push)
        #expect(throws: ControlRequestError.self) { try ControlRequest(bytes + [0x4C]) }
    }

    @Test("A line without an end is refused at 4096 bytes, and waited for before")
    func endless() throws {
        let line = [UInt8](repeating: 0x61, count: 4096)
        #expect(try ControlRequest(Array(line.dropLast())) == nil)
        #expect(throws: ControlRequestError.self) { try ControlRequest(line) }
    }

    @Test("An answer is one line of JSON, with the verdict and its reason")
    func answers() throws {
        let done = ControlAnswer.done { $0.add("id", 7) }
        #expect(String(decoding: done, as: UTF8.self) == "{\"lifeline\":1,\"ok\":true,\"id\":7}\n")
        let failed = ControlAnswer.failed("unknown_connection", "there is no \"7\"")
        #expect(
            String(decoding: failed, as: UTF8.self)
                == "{\"lifeline\":1,\"ok\":false,\"error\":\"unknown_connection\",\"text\":\"there is no \\\"7\\\"\"}\n"
        )
    }

    @Test("The row of a connection: what is not known is null, and a client's name cannot break the line")
    func row() throws {
        var figures = ConnectionStatistics()
        let bare = ControlAnswer.row(id: 1, pid: 2, peer: "unix", acceptedAt: at(0), figures, at: at(1500))
        #expect(
            bare.line
                == "{\"id\":1,\"pid\":2,\"peer\":\"unix\",\"via\":null,\"name\":null,\"state\":\"greeting\",\"age\":1.500,"
                + "\"heard\":null,\"round_trip\":null,\"in_flight\":0,\"requests\":0,\"failed\":0,"
                + "\"messages_in\":0,\"messages_out\":0,\"messages_unhandled\":0,\"bytes_in\":0,\"bytes_out\":0}")
        figures.name = "a\n\",\"id\":9,\u{1B}[31mä😀"
        figures.state = .working
        figures.heardAt = at(1499)
        figures.roundTrip = .microseconds(250)
        (figures.inFlight, figures.answered, figures.bytesIn, figures.bytesOut) = (.max, .max, .max, .max)
        let full = ControlAnswer.row(id: .max, pid: 2, peer: "p", acceptedAt: at(0), figures, at: at(1500))
        #expect(full.line.unicodeScalars.allSatisfy(\.isPrintable) && full.line.contains("[31mä😀"))
        #expect(JSONObject(line: full.line.utf8) == full)
        #expect(
            full.text("name") == figures.name && full.number("heard") == 0.001 && full.number("round_trip") == 0.00025)
        figures.heardAt = at(9999)
        let ahead = ControlAnswer.row(id: 1, pid: 2, peer: "p", acceptedAt: at(0), figures, at: at(1500))
        #expect(ahead.number("heard") == 0, "a child cannot be heard in the future")
    }
}

@Suite("Objects of JSON on a line")
struct JSONTests {
    @Test(
        "What is written is read again",
        arguments: ["", "plain", "\"\\/\u{8}\u{C}\n\r\t", "ä€😀\u{202E}\u{0}\u{7F}", "\u{FFFD}", "\\u0041"])
    func roundTrip(_ text: String) throws {
        var object = JSONObject()
        object.add("text", text)
        object.add("nothing", nil as String?)
        object.add("yes", true)
        object.add("number", -7)
        object.add("time", Duration.milliseconds(-1250))
        #expect(JSONObject(line: object.line.utf8) == object)
        #expect(object.text("text") == text && object.number("time") == -1.25 && object.isTrue("yes"))
        #expect(object["nothing"] == .null && object["nobody"] == nil)
    }

    @Test("Others may write it otherwise")
    func others() throws {
        let line = " { \"a\" : \"\\u00e4\\uD83D\\ude00\\/\\b\" ,\t\"b\":1.5e3,\"c\":null,\"d\":false } \n"
        let object = try #require(JSONObject(line: line.utf8))
        #expect(object.text("a") == "ä😀/\u{8}" && object.number("b") == 1500 && object["d"] == .bool(false))
        #expect(JSONObject(line: "{}".utf8) == JSONObject())
        #expect(JSONObject(line: "{\"a\":\"\\ud83d\"}".utf8)?.text("a") == "\u{FFFD}", "half a pair is replaced")
    }

    @Test(
        "What is no such object is not read",
        arguments: [
            "", "{", "}", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":\"\\u12\"}", "{\"a\":\"\\u+123\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\n\"}", "{\"a\":tru}",
            "{\"a\":{}}", "{\"a\":1 2}", "{a:1}", "{\"a\":--1}", "{\"a\":.}",
        ])
    func broken(_ line: String) { #expect(JSONObject(line: line.utf8) == nil) }

    @Test("Every beginning of an object is no object")
    func beginnings() {
        let line = Array("{\"a\":\"\\ud83d\\ude00\",\"b\":12,\"c\":null}".utf8)
        for count in 0..<line.count { #expect(JSONObject(line: line.prefix(count)) == nil) }
        #expect(JSONObject(line: line) != nil)
    }
}

@Suite("The table of connections")
struct TableTests {
    /// Rows in the order of their ids.
    private static let all: [(UInt64, String, String?, ConnectionActivity, Double, Double?, UInt64)] = [
        (1, "10.0.0.9:1", "till 2", .idle, 100, 3, 50), (2, "10.0.0.8:2", nil, .greeting, 90, nil, 0),
        (3, "10.0.0.10:3", "till 1", .working, 80, 9, 4_000_000), (4, "unix", "Till\u{1B}[2J", .idle, 70, 3, 1000),
    ]
    private let rows: [JSONObject] = TableTests.all.map { id, peer, name, state, age, heard, bytes in
        var figures = ConnectionStatistics()
        figures.name = name
        figures.state = state
        figures.heardAt = heard.map { at(100_000 - $0 * 1000) }
        figures.bytesIn = bytes
        figures.answered = bytes / 10
        return ControlAnswer.row(
            id: id, pid: 1000 - Int32(id), peer: peer, acceptedAt: at(100_000 - age * 1000), figures, at: at(100_000))
    }

    private func ids(_ fill: (inout ConnectionTable) -> Void) -> [Double] {
        var table = ConnectionTable()
        fill(&table)
        return table.rows(of: rows).map { $0.number("id")! }
    }

    @Test(
        "Texts and ids rise, numbers fall, and what is the same stays in the order of ids",
        arguments: [
            (ConnectionTable.Order.id, [1.0, 2, 3, 4]), (.pid, [4, 3, 2, 1]), (.peer, [3, 2, 1, 4]),
            (.name, [2, 4, 3, 1]), (.state, [2, 1, 4, 3]), (.age, [1, 2, 3, 4]), (.heard, [3, 1, 4, 2]),
            (.rtt, [1, 2, 3, 4]), (.inFlight, [1, 2, 3, 4]), (.requests, [3, 4, 1, 2]), (.bytes, [3, 4, 1, 2]),
        ])
    func orders(_ order: ConnectionTable.Order, _ expected: [Double]) {
        #expect(ids { $0.order = order } == expected)
    }

    @Test("Only those are shown that are asked for")
    func filters() {
        #expect(ids { $0.peer = "10.0.0.1" } == [3])
        #expect(ids { $0.name = "till" } == [1, 3])
        #expect(ids { $0.state = "idle" } == [1, 4])
        #expect(ids { ($0.state, $0.name) = ("idle", "till 2") } == [1])
        #expect(ids { $0.peer = "nobody" }.isEmpty)
    }

    @Test("Columns are as wide as their widest, and nothing in them is a command for a terminal")
    func lines() {
        let lines = ConnectionTable.lines(rows)
        #expect(lines.count == 5 && Set(lines.map(\.utf8.count)).count == 1)
        #expect(lines.allSatisfy { $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } })
        #expect(lines[0].split(separator: " ").first == "ID" && lines[1].contains("till 2"))
        #expect(lines[3].contains(" 1m20s ") && lines[3].contains(" 9.0s ") && lines[3].contains(" 3.8m "))
        #expect(ConnectionTable.lines(rows, width: 20).allSatisfy { $0.utf8.count == 20 })
        #expect(ConnectionTable.lines([]).count == 1)
    }

    @Test(
        "A time has three digits or so",
        arguments: [
            (0, "0.00ms"), (0.00042, "0.42ms"), (0.009, "9.00ms"), (0.00999, "10ms"), (0.5, "500ms"), (0.9996, "1.0s"),
            (3.44, "3.4s"), (59.94, "59.9s"), (59.96, "0m59s"), (312, "5m12s"), (25_380, "7h03m"),
            (1_051_200, "12d04h"), (-1, "0.00ms"), (1e300, "?"), (.infinity, "?"), (.nan, "?"),
        ] as [(Double, String)])
    func times(_ seconds: Double, _ expected: String) { #expect(ConnectionTable.time(seconds) == expected) }
}
