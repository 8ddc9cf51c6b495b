import RawWire

extension RawFrame {
    /// Whether section 4 gives the type; others that a client sends are skipped.
    var isKnown: Bool { (1...11).contains(type.number) }
}

extension ClientBench {
    /// What holds for each frame of a client, whatever the case is about.
    func judge(_ frame: RawFrame) {
        expect(frame.reserved == 0, "bytes 6 and 7 to be 0 (3.3-1)", got: "\(frame)")
        expect(frame.flags & 0x7E == 0, "no flag but 0x01 and 0x80 (3.4-1)", got: "\(frame)")
        guard frame.isKnown else {
            expect(frame.flags == RawFrame.ignorable, "IGNORABLE alone on an unknown type (3.4-3)", got: "\(frame)")
            return
        }
        let (least, most): (Int, Int)
        switch frame.type {
        case .hello: (least, most) = (20, 1024)
        case .ping: (least, most) = (8, 8)
        case .pong: (least, most) = (20, 20)
        case .request, .message: (least, most) = (0, .max)
        case .cancel: (least, most) = (0, 0)
        case .goAway, .close: (least, most) = (12, 524)
        default:
            fail("expected a type that a client may send (3.3-5), got \(frame)")
            return
        }
        expect((least...most).contains(frame.payload.count), "a length within its bounds (3.3-3)", got: "\(frame)")
        let hasID = frame.type == .request || frame.type == .cancel
        expect(hasID == (frame.id != 0), hasID ? "an id (3.3-2)" : "id 0 (3.3-2)", got: "\(frame)")
        if frame.type != .request, frame.type != .message {
            expect(!frame.hasMore, "no MORE (3.4-2)", got: "\(frame)")
        }
        expect(!frame.hasMore || !frame.payload.isEmpty, "no empty chunk with MORE (3.5-1)", got: "\(frame)")
        if let notice = frame.notice { judge(notice) }
    }

    /// What holds for each CLOSE and GOAWAY of a client.
    func judge(_ notice: Notice) {
        expect(notice.zero == 0, "zero to be 0 (4.9-1)", got: "\(notice.zero)")
        expect(notice.code.number <= 20, "a code of at most 20 (8-1)", got: "\(notice.code)")
        expect(notice.lastID == 0, "last_id 0 (4.11-4)", got: "\(notice.lastID)")
        expect(String(validating: notice.text, as: UTF8.self) != nil, "UTF-8 (3.1-3)", got: hex(notice.text))
    }

    // MARK: Whole connections

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
