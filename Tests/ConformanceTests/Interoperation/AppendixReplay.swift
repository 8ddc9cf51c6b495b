import Testing
import RawWire

/// A dump of a whole connection, as the appendices of Protocol.md show it.
struct Dump: CustomTestStringConvertible {
    enum Step: Equatable {
        case client([UInt8])
        case server([UInt8])
        case clientEnds
        case serverEnds
    }

    let name: String
    let steps: [Step]
    var testDescription: String { name }

    /// Reads the lines of one ```hexdump block: `# name`, then `C:` or `S:` with bytes or `end`, then `; a comment`.
    init(_ block: Substring) throws {
        var name = "without name"
        var steps: [Step] = []
        for line in block.split(separator: "\n") {
            if line.hasPrefix("#") {
                name = String(line.dropFirst(2))
                continue
            }
            let side = line.prefix(2)
            let words = line.dropFirst(2).prefix { $0 != ";" }.split(separator: " ")
            guard side == "C:" || side == "S:" else { throw Unexpected("what is '\(line)'?") }
            if words == ["end"] {
                steps.append(side == "C:" ? .clientEnds : .serverEnds)
                continue
            }
            let bytes = words.compactMap { UInt8($0, radix: 16) }
            guard bytes.count == words.count, !bytes.isEmpty else { throw Unexpected("no bytes in '\(line)'") }
            steps.append(side == "C:" ? .client(bytes) : .server(bytes))
        }
        self.name = name
        self.steps = steps
    }

    static let all: [Dump] = {
        let blocks = ProtocolDocument.text.split(separator: "```hexdump\n").dropFirst().map {
            $0.split(separator: "```")[0]
        }
        return blocks.compactMap { try? Dump($0) }
    }()
}

extension Live.Interoperation {
    /// Protocol.md, appendices A and B: whole connections, replayed against a fresh server.
    @Suite("Appendices: replay") struct Replay {
        @Test("Both dumps are found in the document")
        func found() { #expect(Dump.all.map(\.name) == ["short", "long"]) }

        @Test("3.1-1 The server sends the bytes of the document, byte for byte", arguments: Dump.all, Chop.allCases)
        func replay(_ dump: Dump, _ chop: Chop) throws {
            try withServer { server in
                let peer = try server.connect()
                for step in dump.steps {
                    switch step {
                    case .client(let bytes): try peer.send(bytes, chop: chop)
                    case .server(let bytes):
                        let came = try peer.take(bytes.count)
                        guard came == bytes else { throw Unexpected("expected \(hex(bytes)), got \(hex(came))") }
                    case .clientEnds: peer.shutdownWriting()
                    case .serverEnds: try peer.takeEnd()
                    }
                }
            }
        }
    }
}
