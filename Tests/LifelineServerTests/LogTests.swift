import Testing

@testable import LifelineServer

@Suite("The lines of the log")
struct LogTests {
    private let log: Log

    init() throws { log = try Log(level: .error, format: .text) }

    /// The line without its time.
    private func text(_ fields: [Log.Field]) -> Substring { log.text(.info, "closed", fields).dropFirst(25) }
    private func json(_ fields: [Log.Field]) -> Substring {
        log.json(.info, "closed", fields).dropFirst("{\"time\":\"2026-01-01T00:00:00.000Z\",".count)
    }

    @Test("A line begins with the time in UTC, to the millisecond")
    func time() {
        let time = Array(log.text(.info, "x", []).utf8.prefix(25))
        let form = Array("0000-00-00T00:00:00.000Z ".utf8)
        #expect(zip(time, form).allSatisfy { $1 == 0x30 ? (0x30...0x39).contains($0) : $0 == $1 })
    }

    @Test("In text, words stand plain and everything else in quotes")
    func words() {
        let fields: [Log.Field] = [
            ("peer", .text("127.0.0.1:80")), ("name", .text("a b")), ("empty", .text("")), ("count", .number(7)),
            ("age", .seconds(.milliseconds(1002))), ("short", .seconds(.microseconds(999))),
        ]
        #expect(
            text(fields) == "info closed peer=127.0.0.1:80 name=\"a b\" empty=\"\" count=7 age=1.002s short=0.000s\n")
    }

    @Test("In JSON, numbers stand plain and texts in quotes")
    func jsonLine() {
        let fields: [Log.Field] = [("name", .text("a b")), ("count", .number(.max)), ("age", .seconds(.seconds(90)))]
        #expect(
            json(fields)
                == "\"level\":\"info\",\"event\":\"closed\",\"name\":\"a b\",\"count\":18446744073709551615,\"age\":90.000}\n"
        )
    }

    @Test(
        "11-3 Control characters, quotes and letters beyond ASCII are escaped, so that one event is one line",
        arguments: [
            ("a\nb", "a\\u{a}b", "a\\u000ab"), ("\u{1B}[31m", "\\u{1b}[31m", "\\u001b[31m"),
            ("\"", "\\\"", "\\\""), ("\\", "\\\\", "\\\\"), ("ä", "\\u{e4}", "\\u00e4"),
            ("\u{202E}x", "\\u{202e}x", "\\u202ex"), ("😀", "\\u{1f600}", "\\ud83d\\ude00"),
            ("\u{0}", "\\u{0}", "\\u0000"),
            ("\r", "\\u{d}", "\\u000d"), ("\u{7F}", "\\u{7f}", "\\u007f"),
        ])
    func escaped(value: String, inText: String, inJSON: String) {
        #expect(text([("name", .text(value))]) == "info closed name=\"\(inText)\"\n")
        #expect(json([("name", .text(value))]) == "\"level\":\"info\",\"event\":\"closed\",\"name\":\"\(inJSON)\"}\n")
    }

    @Test("A line stays within 4096 bytes, whatever a peer says")
    func length() {
        for letter in ["a", "\"", "\n", "ä", "😀"] {
            let fields: [Log.Field] = [
                ("name", .text(String(repeating: letter, count: 64 / letter.utf8.count))),
                ("text", .text(String(repeating: letter, count: 10_000))),
            ]
            #expect(log.text(.info, "closed", fields).utf8.count <= 4096)
            #expect(log.json(.info, "closed", fields).utf8.count <= 4096)
        }
    }
}
