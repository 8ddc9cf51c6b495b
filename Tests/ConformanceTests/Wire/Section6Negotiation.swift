import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, section 6: the worked examples, row by row.
    @Suite("Section 6: negotiation") struct Negotiation {
        /// HELLO ping_every, HELLO dead_after, T, WELCOME ping_every, WELCOME dead_after: the table of the document.
        static let rows: [[UInt32]] = {
            let lines = ProtocolDocument.text.split(separator: "\n")
            let head = lines.firstIndex { $0.hasPrefix("| HELLO ping_every | HELLO dead_after | T |") }
            guard let head else { return [] }
            return lines[(head + 2)...].prefix { $0.hasPrefix("|") }.map { row in
                row.split(separator: "|").compactMap { UInt32($0.drop { $0 == " " }.prefix { $0 != " " }) }
            }
        }()

        @Test("The table of worked examples is found in the document")
        func found() {
            #expect(Negotiation.rows.count >= 10 && Negotiation.rows.allSatisfy { $0.count == 5 })
        }

        @Test(
            "6-1, 6-3, 6-4, 6-5, 3.1-2 WELCOME says what the formula says, whatever T is",
            arguments: Set(rows.map { $0[2] }).sorted())
        func negotiated(_ timeout: UInt32) throws {
            try withServer("--timeout", "\(timeout)ms") { server in
                for row in Negotiation.rows where row[2] == timeout {
                    let welcome = try server.greeted(.hello(pingEvery: row[0], deadAfter: row[1])).welcome
                    #expect([welcome.pingEvery, welcome.deadAfter] == [row[3], row[4]], "\(row)")
                }
            }
        }
    }
}
