import RawWire
import Testing

@testable import conformance

@Suite("The wire log of a connection") struct WireLogTests {
    private typealias Piece = Trace.Piece

    /// Each entry as `direction count: items`.
    private func shown(_ pieces: [Piece]) -> [String] {
        WireLog(pieces).entries.map { entry in
            let items = entry.items.map { item in
                switch item {
                case .preface: "preface"
                case .noPreface(let bytes): "no preface \(readable(bytes[...]))"
                case .frame(let frame): "\(frame)"
                case .unfinished(let bytes): "unfinished \(bytes.count)"
                }
            }
            return ([entry.direction == .sent ? "sent \(entry.count)" : "got \(entry.count)"] + items)
                .joined(separator: ", ")
        }
    }

    private static let ping = RawFrame.preface + RawFrame.ping(1).bytes

    @Test("A frame is named where its last byte comes, in each direction for itself")
    func frames() {
        let ping = WireLogTests.ping
        let pieces = [
            Piece(.sent, at: .zero, Array(ping.prefix(20))), Piece(.received, at: .zero, ping + RawFrame.ping(2).bytes),
            Piece(.sent, at: .zero, Array(ping.dropFirst(20))), Piece(.received, at: .zero, [], ending: .end),
        ]
        #expect(
            shown(pieces) == [
                "sent 20, preface", "got 48, preface, PING nonce 1, PING nonce 2", "sent 8, PING nonce 1", "got 0",
            ])
    }

    @Test("Single bytes in quick succession are one entry for each frame; a pause parts them")
    func chopped() {
        let bytes = WireLogTests.ping.enumerated().map { Piece(.sent, at: .microseconds($0 * 100), [$1]) }
        #expect(shown(bytes) == ["sent 8, preface", "sent 20, PING nonce 1"])
        let slow = WireLogTests.ping.prefix(8).enumerated().map { Piece(.sent, at: .milliseconds($0 * 20), [$1]) }
        #expect(shown(slow).count == 8)
        let entry = WireLog(bytes).entries[1]
        #expect(entry.pieces == 20 && entry.at == .microseconds(800) && entry.lastAt == .microseconds(2700))
    }

    @Test(
        "What is no frame is said",
        arguments: [
            (Array("GET /".utf8), "sent 5, no preface 'GET /'"), (Array("LIFE".utf8), "sent 4, no preface 'LIFE'"),
            (Array("LIFELINE".utf8) + [0, 0, 0], "sent 11, preface, unfinished 3"),
            (Array(ping.dropLast()), "sent 27, preface, unfinished 19"),
            (
                Array("LIFELINE".utf8) + [0xFF, 0xFF, 0xFF, 0xFF] + Array(repeating: 0, count: 9000),
                "sent 9012, preface, unfinished 2048"
            ),
        ] as [([UInt8], String)])
    func faults(_ bytes: [UInt8], _ text: String) { #expect(shown([Piece(.sent, at: .zero, bytes)]) == [text]) }

    @Test("Of a long message the beginning is kept, and the frame behind it is found")
    func long() {
        let message = RawFrame.message(Array(repeating: 0x61, count: 1 << 20)).bytes + RawFrame.ping(5).bytes
        let all = RawFrame.preface + message
        let pieces = [
            Piece(.sent, at: .zero, Array(all.prefix(5000))), Piece(.sent, at: .seconds(1), Array(all.dropFirst(5000))),
        ]
        let log = WireLog(pieces)
        #expect(
            shown(pieces).last == "sent \(all.count - 5000), MESSAGE bytes '\(String(repeating: "a", count: 80))' "
                + "... (1048576 bytes), PING nonce 5")
        #expect(log.entries.allSatisfy { $0.bytes.count <= WireLog.mostBytes })
    }

    @Test("Of a flood the beginning is shown, and how much there is more")
    func flood() {
        let pieces = (0..<500).map { Piece(.sent, at: .seconds($0), [0]) }
        let log = WireLog(pieces)
        #expect(log.entries.count == WireLog.mostEntries && log.omitted == 300)
    }
}
