import Testing
import RawWire

extension Live {
    /// Bytes without sense, and sense that is cut up: whatever comes, it costs its own connection only.
    @Suite("Garbage") struct Garbage {}
}

/// Numbers that are the same in every run (SplitMix64), so that a failure can be repeated.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }

    /// A frame that is nearly right: mostly known types, small lengths, few flags.
    mutating func frame() -> [UInt8] {
        let payload = bytes([0, 1, 8, 12, 20, 40].randomElement(using: &self) ?? 0)
        var frame = RawFrame(
            type: .init(number: UInt8.random(in: 0...13, using: &self)),
            flags: [0, 0, 0, 0, 1, 0x80].randomElement(using: &self) ?? 0,
            id: [0, 0, 1, 2, 3].randomElement(using: &self) ?? 0, payload: payload)
        if Int.random(in: 0..<20, using: &self) == 0 {
            frame.claimedLength = UInt32.random(in: 0...(.max), using: &self)
        }
        return frame.bytes
    }

    /// A conversation that is right.
    mutating func conversation() -> [UInt8] {
        var frames: [RawFrame] = [.hello(options: RawFrame.name("garbage"))]
        for id in UInt32(1)...4 {
            frames += [.request(id, bytes(Int.random(in: 0..<40, using: &self))), .ping(UInt64(id)), .message([1])]
        }
        return RawFrame.preface + (frames + [.close()]).flatMap(\.bytes)
    }
}

extension Live.Garbage {
    enum Kind: String, CaseIterable {
        case noise, noiseAfterPreface, noiseAfterHello, nearlyFrames, oneByteChanged, cutShort

        fileprivate func bytes(_ random: inout Seeded) -> [UInt8] {
            let opening = RawFrame.preface + RawFrame.hello().bytes
            var conversation = random.conversation()
            let place = Int.random(in: 0..<conversation.count, using: &random)
            let count = Int.random(in: 1..<200, using: &random)
            switch self {
            case .noise: return random.bytes(count)
            case .noiseAfterPreface: return RawFrame.preface + random.bytes(count)
            case .noiseAfterHello: return opening + random.bytes(count)
            case .nearlyFrames: return opening + (0..<10).flatMap { _ in random.frame() }
            case .oneByteChanged: conversation[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case .cutShort: conversation.removeSubrange(place...)
            }
            return conversation
        }
    }

    @Test(
        "7.1-1, 8-1 400 connections of each kind of garbage each end with CLOSE and the end of the stream; no child dies of it",
        arguments: Kind.allCases)
    func garbage(_ kind: Kind) throws {
        var random = Seeded(state: kind.rawValue.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        try withServer("--log-level", "warning") { server in
            for _ in 0..<8 {
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
                }
            }
            #expect(!server.log.textSoFar.contains("child died"))
            let peer = try server.open()
            try peer.send(.request(1))
            #expect(try peer.takeFrame().id == 1)
        }
    }

    @Test("300 connections that are reset while garbage is on its way leave nothing behind")
    func resets() throws {
        var random = Seeded(state: 7)
        try withServer("--log-level", "error") { server in
            for _ in 0..<300 {
                let peer = try server.connect()
                try peer.send(Kind.allCases.randomElement(using: &random)!.bytes(&random))
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
        var random = Seeded(state: 11)
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
