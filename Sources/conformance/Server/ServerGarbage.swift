import RawWire

extension ServerBench {
    /// Connections of garbage that end with the end of stream: each gets the preface, frames without a fault, and CLOSE.
    func expectEnd(of kind: RawGarbage, seed: UInt64) throws {
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
