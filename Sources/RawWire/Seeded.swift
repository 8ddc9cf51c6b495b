/// Numbers that are the same in every run (SplitMix64), so that a failure can be repeated.
package struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// A frame that is nearly right: mostly known types, small lengths, few flags.
    package mutating func frame() -> [UInt8] {
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
    package mutating func conversation() -> [UInt8] {
        var frames: [RawFrame] = [.hello(options: RawFrame.name("garbage"))]
        for id in UInt32(1)...4 {
            frames += [.request(id, bytes(Int.random(in: 0..<40, using: &self))), .ping(UInt64(id)), .message([1])]
        }
        return RawFrame.preface + (frames + [.close()]).flatMap(\.bytes)
    }
}
