/// Bytes without sense, and sense that is cut up.
package enum RawGarbage: String, CaseIterable, Sendable {
    case noise = "Noise"
    case noiseAfterPreface = "Noise behind the preface"
    case noiseAfterHello = "Noise behind HELLO"
    case nearlyFrames = "Frames that are nearly right"
    case oneBitChanged = "A conversation with one bit changed"
    case cutShort = "A conversation cut short"

    package func bytes(_ random: inout Seeded) -> [UInt8] {
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
