import Testing
import RawWire

extension Live.Wire {
    /// Bytes without sense, and sense that is cut up: whatever comes, it costs its own connection only.
    @Suite("Garbage") struct Garbage {}
}

extension Live.Wire.Garbage {
    @Test("Connections that are opened and closed at once are no trouble", arguments: [false, true])
    func openedAndClosed(_ withReset: Bool) throws {
        try withServer("--log-level", "error") { server in
            for _ in 0..<500 {
                let peer = try server.connect()
                if withReset { peer.reset() } else { peer.close() }
            }
            try server.waitForChildren(0, within: .seconds(20))
            _ = try server.open()
        }
    }

    @Test("The same conversation comes to the same end however it is cut")
    func chopped() throws {
        var random = Seeded(11)
        let bytes = random.conversation()
        try withServer { server in
            var answers: Set<[RawFrame.Kind]> = []
            for cut in [0, 3, 8, 9, 19, 20, 41, 60, 80, bytes.count - 1] {
                let peer = try server.connect()
                try peer.send(Array(bytes.prefix(cut)))
                try peer.send(Array(bytes.dropFirst(cut)))
                try peer.takePreface()
                let frames = try peer.frames(upTo: .close)
                // How many PONGs come depends on how many PINGs were read at once.
                answers.insert(frames.map(\.type).filter { $0 != .pong })
                #expect(frames.last == .close(.normal, lastID: 4))
            }
            #expect(answers.count == 1)
        }
    }
}
