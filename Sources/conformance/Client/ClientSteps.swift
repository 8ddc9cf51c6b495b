import RawWire

/// Whole connections.
extension ClientBench {
    /// An open connection whose first request, "hello", is answered.
    func openIdle(welcome: RawFrame = .welcome()) throws -> (peer: RawPeer, hello: HelloFields, id: UInt32) {
        let (peer, hello) = try open(.long, "hello", welcome: welcome)
        let request = try takeRequest(on: peer)
        try send(.response(request.id, request.payload), on: peer)
        return (peer, hello, request.id)
    }

    /// An open connection with the request "hello" unanswered.
    func openBusy(
        _ mode: Mode = .long, welcome: RawFrame = .welcome()
    ) throws -> (peer: RawPeer, hello: HelloFields, id: UInt32) {
        let (peer, hello) = try open(mode, "hello", welcome: welcome)
        return (peer, hello, try takeRequest(on: peer).id)
    }

    /// The connection goes on: one more line is asked, and PONGs that are owed may come before it.
    func expectAlive(on peer: RawPeer, _ why: String) throws {
        try ask("alive")
        var request: RawFrame
        repeat { request = try next(on: peer) } while request.type == .pong
        expect(
            request.type == .request && request.text == "alive", "the next request, because \(why)", got: "\(request)")
        try send(.response(request.id, request.payload), on: peer)
    }

    /// What is sent behind the chunks of a greeting that the client is to accept.
    func expectAccepted(_ welcome: RawFrame, _ why: String) throws {
        let (peer, _, _) = try openIdle(welcome: welcome)
        try expectAlive(on: peer, why)
    }

    /// Sends `frames` and ends the request `id` behind them: the connection goes on.
    func expectTaken(_ frames: [RawFrame], _ why: String) throws {
        let (peer, _, id) = try openBusy()
        try send(frames.flatMap(\.bytes) + RawFrame.response(id, Array("hello".utf8)).bytes, on: peer)
        try expectAlive(on: peer, why)
    }

    /// The client's answer to a CLOSE of the server: CLOSE(NORMAL), at once.
    func expectAnsweredClose(of peer: RawPeer, _ code: RawCode = .normal) throws {
        try expectClose(of: peer, code, within: .seconds(2)) { frame in
            [.ping, .pong, .request, .cancel].contains(frame.type) ? nil : "expected CLOSE, got \(frame)"
        }
    }

    /// Expects the connection to end without a CLOSE of the client.
    func expectLost(on peer: RawPeer, within limit: Duration = .seconds(2)) throws {
        let deadline = SuspendingClock.now + limit
        while peer.ending == nil {
            guard try peer.read(until: deadline) else {
                return fail("expected the connection to be closed within \(limit), it was not")
            }
        }
    }
}
