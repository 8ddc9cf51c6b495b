import Glibc
import RawWire

extension ClientBench {
    /// A connection in the middle of a request of a million bytes, of which the client's kernel takes no more for now.
    ///
    /// The round trip has been proved just before; `taken` is how many bytes of frames have come to this side.
    func openStuck(welcome: RawFrame = .welcome(pingEvery: 300)) throws -> (peer: RawPeer, id: UInt32) {
        let listener = try NarrowListener(tls)
        try start(.long, "hello", port: listener.port)
        let peer = trace(try listener.accept())
        _ = try greet(peer, welcome)
        let first = try takeRequest(on: peer)
        // With this PING answered, and the response behind it, the next one is far away.
        let ping = try wait(for: .ping, on: peer, within: .seconds(12))
        try send(.pong(to: ping), .response(first.id, [1]), on: peer)
        try ask(String(repeating: "x", count: 1_000_000))
        try settle(peer)
        let chunk = try next(on: peer)
        guard chunk.type == .request, chunk.hasMore else {
            throw Skip("the client's kernel has taken all of the request: \(chunk)")
        }
        // What was read has made room.
        try settle(peer)
        return (peer, chunk.id)
    }

    /// Waits until the client's kernel takes no more bytes.
    private func settle(_ peer: RawPeer) throws {
        let deadline = SuspendingClock.now + .seconds(3)
        var last = -1
        while case let held = (peer.bytesInKernel ?? peer.unreadInKernel), held != last || held < 3000 {
            guard SuspendingClock.now < deadline else {
                throw Unexpected("expected a request of 1000000 bytes, got \(held) and \(peer.unread.count) bytes")
            }
            last = held
            try pause(.milliseconds(50))
        }
    }

    /// Looks at `condition`, for what no event tells of, until it holds.
    func eventually(within limit: Duration, _ condition: () -> Bool) throws -> Bool {
        let deadline = SuspendingClock.now + limit
        while SuspendingClock.now < deadline {
            if condition() { return true }
            try pause(.milliseconds(20))
        }
        return condition()
    }

    /// Waits without reading.
    func pause(_ duration: Duration) throws {
        var nobody: [pollfd] = []
        _ = waitUntilReady(&nobody, until: .now + duration)
    }

    /// The drop of a client that has much to send: what its kernel holds comes first, whole frames, then CLOSE.
    func expectDrop(ofStuck peer: RawPeer, _ code: RawCode) throws {
        try expectClose(of: peer, code) { frame in
            frame.type == .request || frame.type == .ping || frame.type == .pong
                ? nil : "expected CLOSE(\(code)), got \(frame)"
        }
    }
}
