import RawWire

/// Numbers that are the same in every run (SplitMix64), so that a failure can be repeated.
struct Seeded: RandomNumberGenerator {
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
        var random = Seeded(state: seed &* 1_000_003)
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
