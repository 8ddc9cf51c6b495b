import RawWire

/// What a server offers.
struct CreditOffer {
    let limit: UInt64
    /// The longest message in one frame that it takes.
    let longest: Int
}

extension ServerBench {
    /// A connection on which credit is in force; the server may begin messages below `limit`.
    func openCredit(
        limit: UInt64 = 1 << 20
    ) throws -> (peer: RawPeer, welcome: WelcomeFields, offer: CreditOffer) {
        let (peer, welcome) = try open(.hello(minor: 1, options: RawFrame.credit(from: limit)))
        guard welcome.minor >= 1 else { throw Skip("the server speaks 1.0") }
        guard let offered = welcome.credit else { throw Skip("the server offers no credit") }
        let longest = Int(min(welcome.maxFrame, welcome.maxMessage, 16384))
        return (peer, welcome, CreditOffer(limit: offered, longest: longest))
    }

    /// The next CREDIT, and nothing but PINGs before it.
    func takeCredit(on peer: RawPeer) throws -> CreditFields {
        let frame = try next(on: peer)
        guard let credit = frame.credit else { throw Unexpected("expected CREDIT, got \(frame)") }
        return credit
    }

    /// Makes the handler busy with a message.
    func hold(_ peer: RawPeer, _ offer: CreditOffer) throws -> MessageSender {
        let text = try words(\.holdWith, "--hold-with")
        var sender = MessageSender(limit: offer.limit, longest: offer.longest)
        _ = sender.message(text.utf8.count)
        try send(.message(text), on: peer)
        // A PONG shows that it has come; the handler begins at once.
        try send(.ping(1000), on: peer)
        try takePong(1000, on: peer, allowing: [.credit])
        return sender
    }

    /// Sends messages until none may begin. A server may raise its limit before anything is handled.
    func useUp(_ sender: inout MessageSender, on peer: RawPeer) throws {
        try send(try sender.fill(), on: peer)
        while let frame = try peer.nextFrame(within: .milliseconds(100)) {
            if let credit = frame.credit { sender.take(credit) }
            try send(try sender.fill(), on: peer)
        }
    }

    /// Sends PINGs until a CREDIT ahead of a PONG says that `count` messages are handled.
    func expectHandled(_ count: UInt64, on peer: RawPeer) throws {
        let start = SuspendingClock.now
        var handled: UInt64 = 0
        var nonce: UInt64 = 2000 + count * 1000
        while handled < count {
            nonce += 1
            try send(.ping(nonce), on: peer)
            while let frame = try peer.nextFrame(), frame.pong?.nonce != nonce {
                handled = max(handled, frame.credit?.handled ?? 0)
            }
            guard start.age < RawPeer.patience, peer.ending == nil else {
                return fail("expected CREDIT with \(count) handled ahead of a PONG, got \(handled)")
            }
            // The bucket has 20 PINGs.
            if handled < count { pause(.milliseconds(250)) }
        }
    }

    /// CREDIT that counts all messages, and then CLOSE(NORMAL).
    func expectAllHandled(_ count: UInt64, on peer: RawPeer) throws {
        var handled: UInt64 = 0
        try expectClose(of: peer, .normal) { frame in
            handled = max(handled, frame.credit?.handled ?? 0)
            return frame.type == .ping || frame.type == .credit ? nil : "expected CREDIT and CLOSE, got \(frame)"
        }
        expect(handled == count, "CREDIT with \(count) handled ahead of CLOSE", got: "\(handled)")
    }

    /// Asks and is answered; what is `past` may come before.
    func expectServed(_ id: UInt32, on peer: RawPeer, past: Set<RawFrame.Kind>) throws {
        try send(.request(id), on: peer)
        var frame = try next(on: peer)
        while past.contains(frame.type) { frame = try next(on: peer) }
        expect(frame.type == .response && frame.id == id, "RESPONSE \(id)", got: "\(frame)")
    }

    // MARK: Messages of the server

    /// Has the server's handler send these messages.
    func beTold(_ texts: [String], on peer: RawPeer) throws {
        let tell = try words(\.tellWith, "--tell-with")
        for (index, text) in texts.enumerated() { try send(.request(UInt32(index + 1), tell + text), on: peer) }
    }

    /// The next message of the server; the endings of what made it send them may come before.
    func takeMessage(on peer: RawPeer) throws -> RawFrame {
        while true {
            let frame = try next(on: peer)
            if frame.type == .message { return frame }
            guard [.response, .failure, .pong].contains(frame.type) else {
                throw Unexpected("expected MESSAGE, got \(frame)")
            }
        }
    }

    /// For a while no message comes.
    func expectNoMessage(on peer: RawPeer) throws {
        while let frame = try peer.nextFrame(within: .milliseconds(200) + Times.machine) {
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            expect(frame.type != .message && frame.type != .close, "no MESSAGE", got: "\(frame)")
        }
    }
}
