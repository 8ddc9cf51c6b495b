import Testing
import RawWire

extension Live.Wire {
    /// Bytes without sense, and sense that is cut up: whatever comes, it costs its own connection only.
    @Suite("Garbage") struct Garbage {}
}

extension Live.Wire.Garbage {
    @Test("7.1-1, 8-1 Garbage on 50 connections at once: each ends with CLOSE, and no child dies", arguments: 1...8)
    func atOnce(_ seed: UInt64) throws {
        var random = Seeded(seed)
        try withServer("--log-level", "warning") { server in
            for kind in RawGarbage.allCases {
                let peers = try (0..<50).map { _ in try server.connect() }
                for peer in peers {
                    try peer.send(kind.bytes(&random))
                    peer.shutdownWriting()
                }
                try readAll(peers, within: .seconds(20))
                for peer in peers {
                    try peer.takePreface()
                    let frames = try peer.frames(upTo: .close)
                    #expect(peer.unread.isEmpty && peer.ending == .end)
                    #expect(frames.last?.notice.map { $0.code.number <= 20 && $0.zero == 0 } == true)
                    #expect(frames.allSatisfy { $0.reserved == 0 && $0.flags & 0x7E == 0 })
                    peer.close()
                }
            }
            #expect(!server.log.textSoFar.contains("child died"))
            _ = try server.open()
        }
    }

    @Test("300 connections that are reset while garbage is on its way leave nothing behind")
    func resets() throws {
        var random = Seeded(7)
        try withServer("--log-level", "error") { server in
            for _ in 0..<300 {
                let peer = try server.connect()
                try peer.send(RawGarbage.allCases.randomElement(using: &random)!.bytes(&random))
                peer.reset()
            }
            try server.waitForChildren(0, within: .seconds(20))
            _ = try server.open()
        }
    }

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
