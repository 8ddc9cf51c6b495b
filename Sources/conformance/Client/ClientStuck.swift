import Glibc
import RawWire

extension ClientBench {
    /// A connection in the middle of a request of a million bytes, of which the client's kernel takes no more for now.
    ///
    /// The round trip has been proved just before; `taken` is how many bytes of frames have come to this side.
    func openStuck(welcome: RawFrame = .welcome(pingEvery: 300)) throws -> (peer: RawPeer, id: UInt32) {
        let listener = try NarrowListener()
        try start(.long, "hello", port: listener.port)
        let peer = trace(try listener.accept())
        _ = try greet(peer, welcome)
        let first = try takeRequest(on: peer)
        // With this PING answered, and the response behind it, the next one is far away.
        let ping = try wait(for: .ping, on: peer, within: .seconds(12))
        try send(.pong(to: ping), .response(first.id, [1]), on: peer)
        try ask(String(repeating: "x", count: 1_000_000))
        let deadline = SuspendingClock.now + .seconds(3)
        while true {
            let before = TCPEntry.held(by: peer)
            try pause(.milliseconds(30))
            let now = TCPEntry.held(by: peer)
            if now == before, now > 3000 { break }
            guard SuspendingClock.now < deadline else {
                throw Unexpected("expected a request of 1000000 bytes, got \(now)")
            }
        }
        let chunk = try next(on: peer)
        guard chunk.type == .request, chunk.hasMore else {
            throw Skip("the client's kernel has taken all of the request: \(chunk)")
        }
        return (peer, chunk.id)
    }

    /// Waits without reading.
    func pause(_ duration: Duration) throws {
        var nobody: [pollfd] = []
        _ = waitUntilReady(&nobody, until: .now + duration)
    }

    /// The drop of a client that has much to send: what its kernel holds comes first, whole frames, then CLOSE.
    func expectDrop(ofStuck peer: RawPeer, _ code: Code) throws {
        try expectClose(of: peer, code) { frame in
            frame.type == .request || frame.type == .ping || frame.type == .pong
                ? nil : "expected CLOSE(\(code)), got \(frame)"
        }
    }
}
