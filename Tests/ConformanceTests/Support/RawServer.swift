import Testing
import RawWire

/// The server's part of a connection, in raw bytes.
extension RawPeer {
    /// The client's preface and HELLO.
    @discardableResult
    func takeHello() throws -> HelloFields {
        try takePreface()
        let frame = try take(.hello)
        try frame.checkClientMaySend()
        guard let hello = frame.hello else { throw Unexpected("HELLO is too short: \(frame)") }
        return hello
    }

    /// Takes the client's greeting and answers with the preface and `welcome`.
    @discardableResult
    func greet(_ welcome: RawFrame = .welcome()) throws -> HelloFields {
        let hello = try takeHello()
        try send(RawFrame.preface + welcome.bytes)
        return hello
    }

    /// The next frame that is no PING; PINGs are answered. Every frame is judged by what a client may send.
    func next(within limit: Duration = patience) throws -> RawFrame {
        guard let frame = try nextIfAny(within: limit) else {
            throw Unexpected("expected a frame, got \(ending.map { "\($0)" } ?? "nothing within \(limit)")")
        }
        return frame
    }

    /// As `next`; nil where none comes in time or the stream ends.
    func nextIfAny(within limit: Duration) throws -> RawFrame? {
        let deadline = SuspendingClock.now + limit
        while let frame = try nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) {
            try frame.checkClientMaySend()
            guard frame.type == .ping else { return frame }
            try send(.pong(to: frame))
        }
        return nil
    }

    /// The next frame that is no PING, which must be of this type.
    func next(_ type: RawFrame.Kind, within limit: Duration = patience) throws -> RawFrame {
        let frame = try next(within: limit)
        guard frame.type == type else { throw Unexpected("expected \(type), got \(frame)") }
        return frame
    }

    /// The next PING, whatever comes before it.
    func takePing(within limit: Duration = patience) throws -> RawFrame {
        try frames(upTo: .ping, within: limit).last!
    }

    /// A whole request, in however many chunks it comes.
    func takeRequest(within limit: Duration = patience) throws -> RawFrame {
        var request = try next(.request, within: limit)
        while request.hasMore {
            let chunk = try next(.request, within: limit)
            guard chunk.id == request.id else { throw Unexpected("3.5-2: \(chunk) inside \(request.id)") }
            request.payload += chunk.payload
            request.flags = chunk.flags
        }
        return request
    }

    /// Answers the next request with its own bytes.
    @discardableResult
    func echo(within limit: Duration = patience) throws -> RawFrame {
        let request = try takeRequest(within: limit)
        try send(.response(request.id, request.payload))
        return request
    }

    /// Reads until the stream ends, in whatever way and behind whatever comes.
    func readToEnd(within limit: Duration = patience) throws {
        let deadline = SuspendingClock.now + limit
        while ending == nil {
            guard try read(until: deadline) else { throw Unexpected("the stream did not end within \(limit)") }
        }
    }

    /// The client leaves: CLOSE(NORMAL), which is answered. `answered` is the highest request of this server that the
    /// client's program was given.
    func seeOff(lastID: UInt32 = 0, answered: UInt32 = 0) throws {
        let close = try takeClose()
        guard close.code == .normal, close.lastID == answered else {
            throw Unexpected("expected CLOSE(NORMAL, last_id \(answered)), got \(close)")
        }
        try send(.close(lastID: lastID))
        self.close()
    }

    /// CLOSE with which the client drops this server; it then reads on until this side ends.
    @discardableResult
    func takeDrop(
        _ code: RawCode, within limit: Duration = patience, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Notice {
        let close = try takeClose(within: limit)
        #expect(close.code == code, "8: \(close)", sourceLocation: sourceLocation)
        #expect(close.lastID == 0, "4.11-4: \(close)", sourceLocation: sourceLocation)
        #expect(close.zero == 0, "4.9-1: \(close)", sourceLocation: sourceLocation)
        #expect(code == .normal || !close.text.isEmpty, "8-2: \(close)", sourceLocation: sourceLocation)
        self.close()
        return close
    }
}

extension RawFrame {
    /// Throws where no client may send this frame, whatever came before it (sections 3 and 4).
    func checkClientMaySend() throws {
        func demand(_ holds: Bool, _ requirement: String) throws {
            guard holds else { throw Unexpected("\(requirement) is broken by \(self)") }
        }
        let lengths: ClosedRange<Int>? =
            switch type {
            case .hello: 20...1024
            case .ping: 8...8
            case .pong: 20...20
            case .request, .message, .response: 0...16384
            case .failure: 8...520
            case .grant: 16...16
            case .cancel: 0...0
            case .goAway, .close: 12...524
            default: nil
            }
        try demand(reserved == 0, "3.3-1")
        try demand(lengths != nil, "3.3-5")
        try demand(lengths?.contains(payload.count) == true, "3.3-3")
        try demand(flags & ~(RawFrame.more | RawFrame.ignorable) == 0, "3.4-1")
        let isChunk = type == .request || type == .message || type == .response
        try demand(!hasMore || isChunk, "3.4-2")
        try demand(!hasMore || !payload.isEmpty, "3.5-1")
        let hasID = type == .request || type == .cancel || type == .response || type == .failure
        try demand((id != 0) == hasID, "3.3-2")
        if let notice {
            try demand(notice.code.number <= 20, "8-1")
            try demand(String(validating: notice.text, as: UTF8.self) != nil, "3.1-3")
            try demand(notice.zero == 0, "4.9-1")
        }
    }
}
