import RawWire

/// Bytes without sense, and sense that is cut up.
enum Garbage: String, CaseIterable, Sendable {
    case noise = "Noise"
    case noiseAfterPreface = "Noise behind the preface"
    case noiseAfterHello = "Noise behind HELLO"
    case nearlyFrames = "Frames that are nearly right"
    case oneBitChanged = "A conversation with one bit changed"
    case cutShort = "A conversation cut short"

    func bytes(_ random: inout Seeded) -> [UInt8] {
        let opening = RawFrame.preface + RawFrame.hello().bytes
        var conversation = random.conversation()
        let place = Int.random(in: 0..<conversation.count, using: &random)
        let count = Int.random(in: 1..<200, using: &random)
        switch self {
        case .noise: return random.bytes(count)
        case .noiseAfterPreface: return RawFrame.preface + random.bytes(count)
        case .noiseAfterHello: return opening + random.bytes(count)
        case .nearlyFrames: return opening + (0..<10).flatMap { _ in random.frame() }
        case .oneBitChanged: conversation[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case .cutShort: conversation.removeSubrange(place...)
        }
        return conversation
    }
}

extension ServerBench {
    /// Connections of garbage that end with the end of stream: each gets the preface, frames without a fault, and CLOSE.
    func expectEnd(of kind: Garbage, seed: UInt64) throws {
        var random = Seeded(seed &* 1_000_003)
        for _ in 0..<25 {
            let peer = try connect()
            try send(kind.bytes(&random), on: peer)
            peer.shutdownWriting()
            try peer.takePreface()
            for frame in try peer.frames(upTo: .close) {
                expect(frame.reserved == 0 && frame.flags & 0x7E == 0, "a frame without a fault", got: "\(frame)")
                expect(
                    frame.notice.map { $0.code.number <= 20 && $0.zero == 0 } ?? true, "a code up to 20",
                    got: "\(frame)")
            }
            try peer.takeEnd()
        }
    }
}
