import Glibc
import Posix
import Testing

@testable import LifelineServer

@Suite("The lines of the log")
struct LogTests {
    private static let time = WallTime(year: 2026, month: 3, day: 7, hour: 4, minute: 5, second: 6, millisecond: 7)

    private func line(
        _ format: LogFormat, level: LogLevel = .info, event: LogEvent = .closed, syslog: SyslogHeader? = nil,
        _ fields: (inout LogLine) -> Void
    ) -> String {
        var line = ""
        LogLine.make(.init(level: level, event: event, time: LogTests.time, syslog: syslog), format, fields) {
            line = String(decoding: $0, as: UTF8.self)
        }
        return line
    }

    /// The line without its time, and without the end of the line before.
    private func text(_ fields: (inout LogLine) -> Void) -> Substring { line(.text, fields).dropFirst(26) }
    private func json(_ fields: (inout LogLine) -> Void) -> Substring {
        line(.json, fields).dropFirst("\n{\"time\":\"2026-01-01T00:00:00.000Z\",".count)
    }

    @Test("A line begins with the time in UTC, to the millisecond, and can end one that was torn off before it")
    func time() {
        #expect(line(.text) { _ in } == "\n2026-03-07T04:05:06.007Z info closed\n")
        #expect(
            line(.json) { _ in }
                == "\n{\"time\":\"2026-03-07T04:05:06.007Z\",\"level\":\"info\",\"event\":\"closed\"}\n")
    }

    @Test("The line of a connection, byte by byte")
    func whole() throws {
        let peer = try #require(SocketAddress(host: "192.0.2.7", port: 51234))
        let fields = { (line: inout LogLine) in
            line.number(.connection, 18_446_744_073_709_551_615 as UInt64)
            line.number(.pid, 4711)
            line.address(.peer, peer)
            line.text(.reason, "SILENT")
            line.seconds(.age, .nanoseconds(90_061_999_999))
            line.number(.requests, 0)
            line.text(.text, "heard nothing")
        }
        #expect(
            line(.text, level: .warning, fields)
                == "\n2026-03-07T04:05:06.007Z warning closed connection=18446744073709551615 pid=4711 "
                + "peer=192.0.2.7:51234 reason=SILENT age=90.061s requests=0 text=\"heard nothing\"\n")
        #expect(
            line(.json, level: .warning, fields)
                == "\n{\"time\":\"2026-03-07T04:05:06.007Z\",\"level\":\"warning\",\"event\":\"closed\","
                + "\"connection\":18446744073709551615,\"pid\":4711,\"peer\":\"192.0.2.7:51234\",\"reason\":\"SILENT\","
                + "\"age\":90.061,\"requests\":0,\"text\":\"heard nothing\"}\n")
    }

    @Test("What syslogd gets has its header, and neither our time nor an end; in JSON the time stays")
    func syslog() {
        let header = SyslogHeader(level: .info, program: "server", process: 12, time: LogTests.time)
        let fields = { (line: inout LogLine) in line.number(.requests, 7) }
        #expect(line(.text, syslog: header, fields) == "<30>Mar  7 04:05:06 server[12]: info closed requests=7")
        #expect(
            line(.json, syslog: header, fields)
                == "<30>Mar  7 04:05:06 server[12]: {\"time\":\"2026-03-07T04:05:06.007Z\",\"level\":\"info\","
                + "\"event\":\"closed\",\"requests\":7}")
    }

    @Test("Each event has levels, fields and a sentence, and each field belongs to an event")
    func table() {
        for event in LogEvent.allCases {
            #expect(
                Set(event.specification.fields).count == event.specification.fields.count
                    && !event.specification.fields.isEmpty)
            #expect(Set(event.levels).count == event.levels.count)
            #expect(event.specification.meaning.hasSuffix("."))
        }
        #expect(Set(LogEvent.allCases.flatMap(\.specification.fields)) == Set(LogField.allCases))
        for reason in Admission.Reason.allCases {
            #expect(LogField(reason).rawValue == "refused_" + String(reason.rawValue.map { $0 == "-" ? "_" : $0 }))
        }
    }

    @Test("A level that is not logged computes nothing")
    func off() throws {
        let log = try Log(level: .error, format: .text)
        var isComputed = false
        func reason() -> String {
            isComputed = true
            return ""
        }
        log.write(.closed, reason: reason()) { _ in isComputed = true }
        #expect(!isComputed)
    }

    @Test("In text, words stand plain and everything else in quotes")
    func words() {
        let line = text {
            $0.text(.peer, "127.0.0.1:80")
            $0.text(.name, "a b")
            $0.text(.by, "")
            $0.number(.requests, 7)
            $0.seconds(.age, .milliseconds(1002))
            $0.seconds(.age, .microseconds(999))
        }
        #expect(
            line == "info closed peer=127.0.0.1:80 name=\"a b\" by=\"\" requests=7 age=1.002s age=0.000s\n")
    }

    @Test("In JSON, numbers stand plain and texts in quotes")
    func jsonLine() {
        let line = json {
            $0.text(.name, "a b")
            $0.number(.requests, UInt64.max)
            $0.seconds(.age, .seconds(90))
        }
        #expect(
            line
                == "\"level\":\"info\",\"event\":\"closed\",\"name\":\"a b\",\"requests\":18446744073709551615,\"age\":90.000}\n"
        )
    }

    @Test(
        "11-3 What is not printable is escaped, and quotes are, so that one event is one line; letters stay",
        arguments: [
            ("a\nb", "a\\u{a}b", "a\\u000ab"), ("\u{1B}[31m", "\\u{1b}[31m", "\\u001b[31m"),
            ("\"", "\\\"", "\\\""), ("\\", "\\\\", "\\\\"), ("kässa", "kässa", "kässa"), ("u\u{308}", "u\u{308}", "u\u{308}"),
            ("\u{202E}x", "\\u{202e}x", "\\u202ex"), ("😀 漢", "😀 漢", "😀 漢"),
            ("\u{85}", "\\u{85}", "\\u0085"), ("a\u{200B}b", "a\\u{200b}b", "a\\u200bb"), ("\u{FEFF}", "\\u{feff}", "\\ufeff"),
            ("\u{FFFD}", "\\u{fffd}", "\\ufffd"), ("\u{E000}", "\\u{e000}", "\\ue000"),
            ("\u{E0041}", "\\u{e0041}", "\\udb40\\udc41"), ("\u{2066}", "\\u{2066}", "\\u2066"),
            ("\u{0}", "\\u{0}", "\\u0000"),
            ("\r", "\\u{d}", "\\u000d"), ("\u{7F}", "\\u{7f}", "\\u007f"),
        ])
    func escaped(value: String, inText: String, inJSON: String) {
        #expect(text { $0.text(.name, value) } == "info closed name=\"\(inText)\"\n")
        #expect(json { $0.text(.name, value) } == "\"level\":\"info\",\"event\":\"closed\",\"name\":\"\(inJSON)\"}\n")
    }

    @Test("A line stays within 4096 bytes, whatever a peer says")
    func length() {
        for letter in ["a", "\"", "\n", "ä", "😀"] {
            for format in LogFormat.allCases {
                for texts in [1, 3] {
                    let line = line(format) {
                        $0.text(.name, String(repeating: letter, count: 64 / letter.utf8.count))
                        for _ in 0..<texts { $0.text(.text, String(repeating: letter, count: 10_000)) }
                        for _ in 0..<200 { $0.number(.requests, UInt64.max) }
                    }
                    #expect((2500...4096).contains(line.utf8.count))
                    // What has no room is left out, never the end of a text or of the line.
                    #expect(line.hasSuffix(format == .json ? "}\n" : "\n"))
                    if letter != "\"" { #expect(line.count { $0 == "\"" }.isMultiple(of: 2)) }
                }
            }
        }
    }
}
