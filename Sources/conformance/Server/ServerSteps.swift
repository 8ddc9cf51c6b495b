import Posix
import RawWire

/// Cases that are made by the dozen.
extension Case<ServerBench> {
    /// A case that gets its number from its place in `numbered`.
    static func of(
        _ requirement: String, _ sentence: String, level: Level = .must,
        run: @escaping @Sendable (ServerBench) throws -> Void
    ) -> Case {
        Case("", requirement, sentence, level: level, run: run)
    }

    /// `groups`, one behind the other, numbered as cases of `section`.
    static func numbered(_ section: String, _ groups: [Case]...) -> [Case] {
        groups.joined().enumerated().map { index, tried in
            Case("\(section)/\(index + 1)", tried.requirement, tried.sentence, level: tried.level, run: tried.run)
        }
    }

    /// What breaks a rule on an open connection, and is answered with CLOSE.
    static func drop(
        _ requirement: String, _ sentence: String, _ bytes: [UInt8], _ code: RawCode = .protocolError,
        after opening: [RawFrame] = [], _ hello: RawFrame = .hello()
    ) -> Case {
        .of(requirement, "\(sentence) is answered with CLOSE(\(code))") { bench in
            try bench.expectDrop(for: bytes, code, after: opening, hello)
        }
    }

    /// What breaks a rule before the handshake is done, and is answered with CLOSE in place of WELCOME.
    static func refuse(
        _ requirement: String, _ sentence: String, _ bytes: [UInt8], _ code: RawCode = .protocolError
    ) -> Case {
        .of(requirement, "\(sentence) is answered with CLOSE(\(code)) in place of WELCOME") { bench in
            let peer = try bench.connect()
            try bench.send(bytes, on: peer)
            try peer.takePreface()
            if let close = try bench.expectDrop(of: peer, code) {
                bench.expect(close.lastID == 0, "last_id 0", got: "\(close)")
            }
        }
    }

    /// What a server has to accept on an open connection: it answers the next request.
    static func accept(
        _ requirement: String, _ sentence: String, _ bytes: [UInt8], _ hello: RawFrame = .hello()
    ) -> Case {
        .of(requirement, "\(sentence) is accepted, and the connection goes on") { bench in
            let (peer, _) = try bench.open(hello)
            try bench.send(bytes, on: peer)
            try bench.expectServed(1000, on: peer, "that breaks no rule")
        }
    }
}

extension RawFrame {
    /// A header of `type` that announces `length` bytes, without one of them.
    static func header(_ type: Kind, length: UInt32, flags: UInt8 = 0, id: UInt32 = 0) -> [UInt8] {
        RawFrame(type: type, flags: flags, id: id, claimedLength: length).bytes
    }

    /// A frame to be skipped.
    static func skipped(_ count: Int = 0) -> RawFrame {
        .unknown(0x77, flags: ignorable, [UInt8](repeating: 0xA5, count: count))
    }
}

/// Steps that many cases share.
extension ServerBench {
    /// Sends `bytes`, and says when the last of them had not been sent yet.
    @discardableResult
    func sendTimed(_ bytes: [UInt8], on peer: RawPeer) throws -> Moment {
        guard chop != nil else {
            let start = SuspendingClock.now
            try send(bytes, on: peer)
            return start
        }
        try send(Array(bytes.dropLast()), on: peer)
        let start = SuspendingClock.now
        try send(Array(bytes.suffix(1)), on: peer)
        return start
    }

    /// The PONG that answers `nonce`; other frames than heartbeats must not come before it, unless they are `allowed`.
    @discardableResult
    func takePong(
        _ nonce: UInt64, on peer: RawPeer, within limit: Duration = RawPeer.patience,
        allowing allowed: Set<RawFrame.Kind> = []
    ) throws -> PongFields {
        while true {
            let frame = try next(on: peer, within: limit)
            if allowed.contains(frame.type) { continue }
            guard let pong = frame.pong else { throw Unexpected("expected PONG \(nonce), got \(frame)") }
            guard pong.nonce <= nonce else { throw Unexpected("expected PONG \(nonce), got \(frame)") }
            if pong.nonce == nonce { return pong }
        }
    }

    /// A whole HELLO, as a part of a case that sends it in pieces.
    func greet(_ peer: RawPeer, _ hello: RawFrame = .hello()) throws -> WelcomeFields {
        try send(RawFrame.preface + hello.bytes, on: peer)
        return try takeWelcome(on: peer)
    }

    /// Says nothing but `send` at each `interval`, for `duration`; the connection must live, and all that comes is given
    /// to `take`.
    func keep(
        _ peer: RawPeer, for duration: Duration, every interval: Duration, _ what: String,
        take: (RawFrame) throws -> Void = { _ in }, send beat: (Int) throws -> Void
    ) throws {
        let start = SuspendingClock.now
        var count = 0
        while start.age < duration {
            try beat(count)
            count += 1
            let next = start + interval * count
            while let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: next))) {
                guard frame.type != .close else { throw Unexpected("\(what): expected to be kept, got \(frame)") }
                try take(frame)
            }
            if let ending = peer.ending { throw Unexpected("\(what): expected to be kept, got \(ending)") }
        }
    }

    /// Reads until CLOSE; when it came, and what came before.
    func readToClose(
        on peer: RawPeer, _ code: RawCode, within limit: Duration
    ) throws -> (at: Moment, frames: [RawFrame], close: Notice?) {
        var before: [RawFrame] = []
        var at = SuspendingClock.now
        let deadline = SuspendingClock.now + limit
        while true {
            guard let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) else {
                throw Unexpected(
                    "expected CLOSE(\(code)) within \(limit), got \(before.suffix(3)), then "
                        + (peer.ending.map { "\($0)" } ?? "nothing"))
            }
            at = peer.heardAt
            guard frame.type == .close else {
                before.append(frame)
                continue
            }
            guard let notice = frame.notice, notice.code == code else {
                throw Unexpected("expected CLOSE(\(code)), got \(frame)")
            }
            try peer.takeEnd(within: .seconds(3))
            return (at, before, notice)
        }
    }

    /// The limits of the server, from a WELCOME.
    func limits() throws -> WelcomeFields {
        let (peer, welcome) = try open()
        try peer.send(.close())
        try peer.takeClose()
        return welcome
    }

    /// A pause in which nothing is read.
    func pause(_ duration: Duration) { poll(duration) }

    private func poll(_ duration: Duration) {
        _ = eventually(within: duration) { false }
    }
}

extension WelcomeFields {
    var deadline: Duration { .milliseconds(deadAfter) }
    var slack: Duration { .milliseconds(deadAfter) / 10 }

    /// Skips the case where no message of `count` bytes may be sent.
    func need(message count: Int) throws {
        guard maxMessage >= count else { throw Skip("the server's max_message is \(maxMessage)") }
    }

    /// Skips the case where no frame of `count` bytes may be sent.
    func need(frame count: Int) throws {
        guard maxFrame >= count else { throw Skip("the server's max_frame is \(maxFrame)") }
    }
}

/// Asking for much.
extension ServerBench {
    /// Sends a request of `count` bytes, or of as many as the server takes, in chunks as long as it takes them, all but the
    /// last where it stays `open`; returns what was sent. Much is not cut up as the run asks for: that would show nothing, and take long.
    @discardableResult
    func ask(
        _ id: UInt32, count: Int, _ welcome: WelcomeFields, open: Bool = false, on peer: RawPeer
    ) throws -> [UInt8] {
        let message = (0..<min(count, Int(welcome.maxMessage))).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let bytes = request(id, message, welcome, open: open)
        if bytes.count <= 4096 { try send(bytes, on: peer) } else { try peer.send(bytes) }
        return message
    }

    /// The frames of a request that keeps to the server's max_frame; one that stays `open` has no last chunk.
    func request(_ id: UInt32, _ message: [UInt8], _ welcome: WelcomeFields, open: Bool = false) -> [UInt8] {
        let most = min(16384, Int(welcome.maxFrame))
        guard message.count > most else { return RawFrame.request(id, message, more: open).bytes }
        return stride(from: 0, to: message.count, by: most).flatMap { start in
            let end = min(message.count, start + most)
            return RawFrame.request(id, Array(message[start..<end]), more: open || end < message.count).bytes
        }
    }
}
