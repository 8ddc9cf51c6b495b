import RawWire

extension HelloFields {
    /// The longest message in one frame that the client takes.
    var longestFrame: Int { Int(min(maxFrame, maxMessage, 16384)) }
}

/// Steps of cases about credit (Protocol.md, section 3.8).
extension ClientBench {
    /// A connection on which credit is in force. The request "hello" is answered.
    func openCredit() throws -> (peer: RawPeer, hello: HelloFields) {
        let welcome = RawFrame.welcome(minor: 1, options: RawFrame.credit(from: 1 << 20))
        let (peer, hello) = try greetOffering(welcome, sending: false)
        try ask("hello")
        let request = try takeRequest(on: peer)
        try send(.response(request.id, request.payload), on: peer)
        return (peer, hello)
    }

    /// A connection on which the client sends `lines` messages "hello", and may begin those below `limit`.
    func openSending(limit: UInt64, lines: Int) throws -> (peer: RawPeer, hello: HelloFields) {
        let opened = try openSending(.welcome(minor: 1, options: RawFrame.credit(from: limit)), lines: lines)
        return opened
    }

    /// The same, with another WELCOME.
    func openSending(_ welcome: RawFrame, lines: Int) throws -> (peer: RawPeer, hello: HelloFields) {
        let opened = try greetOffering(welcome, sending: true)
        for _ in 0..<lines { try ask("hello") }
        return opened
    }

    private func greetOffering(_ welcome: RawFrame, sending: Bool) throws -> (peer: RawPeer, hello: HelloFields) {
        try start(.long, sending: sending)
        let peer = try accept()
        try peer.takePreface()
        let frame = try peer.takeFrame()
        guard let hello = frame.hello else { throw Unexpected("expected HELLO, got \(frame)") }
        guard hello.minor >= 1 else { throw Skip("the client speaks 1.0") }
        guard hello.credit != nil else { throw Skip("the client offers no credit") }
        try send(RawFrame.preface + welcome.bytes, on: peer)
        return (peer, hello)
    }

    /// The next CREDIT; heartbeats may come before it.
    func takeCredit(on peer: RawPeer) throws -> CreditFields {
        while true {
            let frame = try peer.takeFrame()
            if let credit = frame.credit { return credit }
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            guard frame.type == .ping || frame.type == .pong else {
                throw Unexpected("expected CREDIT, got \(frame)")
            }
        }
    }

    /// What CREDIT says until a frame of this type comes.
    func handled(upTo type: RawFrame.Kind, on peer: RawPeer) throws -> UInt64 {
        var handled: UInt64 = 0
        while true {
            let frame = try peer.takeFrame()
            handled = max(handled, frame.credit?.handled ?? 0)
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            if frame.type == type { return handled }
        }
    }

    /// Sends PINGs until a CREDIT ahead of a PONG says that `count` messages are handled.
    func expectHandled(_ count: UInt64, on peer: RawPeer) throws {
        let start = SuspendingClock.now
        var handled: UInt64 = 0
        var nonce: UInt64 = 2000
        while handled < count {
            nonce += 1
            try send(.ping(nonce), on: peer)
            handled = max(handled, try self.handled(upTo: .pong, on: peer))
            guard start.age < RawPeer.patience else {
                return fail("expected CREDIT with \(count) handled ahead of a PONG, got \(handled)")
            }
            // The bucket has 20 PINGs.
            if handled < count { try pause(.milliseconds(250)) }
        }
    }

    /// The next message of the client, whole.
    @discardableResult
    func takeMessage(on peer: RawPeer) throws -> RawFrame {
        let frame = try next(on: peer)
        guard frame.type == .message, !frame.hasMore else { throw Unexpected("expected MESSAGE, got \(frame)") }
        return frame
    }

    /// For a while no message comes; PINGs are answered.
    func expectNoMessage(on peer: RawPeer) throws {
        while let frame = try peer.nextFrame(within: .milliseconds(200) + Times.machine) {
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            let isWrong = [.message, .close, .goAway].contains(frame.type)
            expect(!isWrong, "no MESSAGE, and nothing behind one", got: "\(frame)")
        }
    }
}
