import Glibc
import Testing
import RawWire

extension Live.Endings {
    /// Protocol.md, section 7: CLOSE, end of stream, SHORT, GOAWAY.
    @Suite("Section 7: closing") struct Closing {}
}

// MARK: CLOSE

extension Live.Endings.Closing {
    @Test(
        "7.1-6 CLOSE is answered with CLOSE(NORMAL) and the end of the stream, behind the endings that are ready",
        arguments: Chop.allCases)
    func close(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1), .request(2), .close(), chop: chop)
            let frames = try peer.frames(upTo: .close)
            #expect(frames.map(\.type) == [.response, .response, .close])
            #expect(frames.last == .close(.normal, lastID: 2))
            try peer.takeEnd()
        }
    }

    @Test("7.1-5 Nothing behind CLOSE is taken for a frame", arguments: Chop.allCases)
    func behindClose(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(RawFrame.close().bytes + [UInt8](repeating: 0xFF, count: 64), chop: chop)
            #expect(try peer.takeFrame() == .close(.normal))
            try peer.takeEnd()
        }
    }

    @Test("7.1-8 Who answers the CLOSE of a drop gets no second CLOSE")
    func crossing() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.unknown(0x77, flags: 0), .close())
            #expect(try peer.takeClose().code == .protocolError)
            try peer.send(.close())
            peer.shutdownWriting()
            try server.waitForChildren(0)
        }
    }

    @Test("7.1-3 After CLOSE the server reads on for a second, so that no reset destroys the reason")
    func lingers() throws {
        try withServer { server in
            let second = Duration.seconds(1)
            try expectBetween(second, second + .milliseconds(500)) {
                let peer = try server.open()
                let start = SuspendingClock.now
                try peer.send(.unknown(0x77, flags: 0))
                // More than a receive buffer holds goes on coming, and the reason arrives all the same.
                let flood = [UInt8](repeating: 1, count: 65536)
                for _ in 0..<100 { _ = try? peer.push(flood[...]) }
                let close = try peer.takeClose()
                #expect(close.code == .protocolError)
                try server.waitForChildren(0, within: .seconds(4))
                return start.age
            }
        }
    }

    @Test("7.1-2 The end of the stream comes right behind CLOSE, while the server still reads on")
    func endBehindClose() throws {
        try withServer { server in
            try expectBetween(.zero, .milliseconds(700)) {
                let peer = try server.open()
                try peer.send(.unknown(0x77, flags: 0))
                _ = try peer.take(.close)
                try peer.takeEnd()
                let time = peer.heardAt.age
                try server.waitForChildren(1)
                return time
            }
        }
    }

    @Test("7.1-3 The server closes at once when the client's end of stream comes")
    func noLinger() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.unknown(0x77, flags: 0))
            try peer.takeClose()
            let start = SuspendingClock.now
            peer.shutdownWriting()
            try server.waitForChildren(0)
            #expect(start.age < .milliseconds(700))
        }
    }

    @Test("7.2-6 A reset ends the child, in every state", arguments: 0..<5)
    func reset(_ state: Int) throws {
        try withServer { server in
            let peer = try server.connect()
            let opening = RawFrame.preface + RawFrame.hello().bytes
            let sent = [
                [], Array(opening.prefix(4)), opening, opening + RawFrame.request(1, "a", more: true).bytes,
                opening + RawFrame.unknown(0x77, flags: 0).bytes,
            ]
            try peer.send(sent[state])
            if state >= 2 { try peer.takePreface() }
            _ = try server.onlyChild()
            peer.reset()
            try server.waitForChildren(0)
            try server.log.line(with: "closed")
        }
    }
}

// MARK: End of stream

extension Live.Endings.Closing {
    @Test("7.2-1 The end of the stream before the first byte gets the preface and CLOSE(NORMAL)")
    func untouched() throws {
        try withServer { server in
            let peer = try server.connect()
            peer.shutdownWriting()
            try peer.takePreface()
            #expect(try peer.takeFrame() == .close(.normal))
            try peer.takeEnd()
        }
    }

    static let opening = RawFrame.preface + RawFrame.hello().bytes

    @Test(
        "7.2-2 The end of the stream before HELLO is whole gets CLOSE(PROTOCOL_ERROR)", arguments: [1, 7, 8, 9, 20, 39])
    func beforeHello(_ count: Int) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(Array(Live.Endings.Closing.opening.prefix(count)))
            peer.shutdownWriting()
            try peer.takePreface()
            let close = try peer.takeFrame()
            #expect(close.notice?.code == .protocolError && close.notice?.lastID == 0)
            try peer.takeEnd()
        }
    }

    /// What is sent, the endings that it is owed, and the code.
    static let ends: [(sentence: String, bytes: [UInt8], endings: [UInt32], code: Code)] = [
        ("7.2-3 right behind HELLO", [], [], .normal),
        ("7.2-3 behind two requests", RawFrame.request(1).bytes + RawFrame.request(2).bytes, [1, 2], .normal),
        ("7.2-3 behind a MESSAGE", RawFrame.message([1]).bytes, [], .normal),
        ("7.2-4 in a header", RawFrame.request(1).bytes + RawFrame.request(2).bytes.prefix(5), [1], .protocolError),
        ("7.2-4 in a payload", RawFrame.request(1).bytes + RawFrame.request(2).bytes.prefix(14), [1], .protocolError),
        ("7.2-4 in a PING", RawFrame.request(1).bytes + RawFrame.ping(1).bytes.prefix(19), [1], .protocolError),
        (
            "7.2-4 in a frame to be skipped", RawFrame.unknown(9 + 0x70, flags: 0x80, [1, 2]).bytes.dropLast(), [],
            .protocolError
        ),
        (
            "7.2-4 between chunks", RawFrame.request(1).bytes + RawFrame.request(2, "a", more: true).bytes, [1],
            .protocolError
        ),
        ("7.2-4 between chunks of a MESSAGE", RawFrame.message([1], more: true).bytes, [], .protocolError),
    ]

    @Test("7.2 The end of the stream: endings first, then CLOSE", arguments: 0..<9, Chop.allCases)
    func endOfStream(_ index: Int, _ chop: Chop) throws {
        let (sentence, bytes, endings, code) = Live.Endings.Closing.ends[index]
        try withServer { server in
            let peer = try server.connect()
            try peer.send(Live.Endings.Closing.opening + bytes, chop: chop)
            peer.shutdownWriting()
            try peer.takePreface()
            let frames = try peer.frames(upTo: .close)
            #expect(frames.dropFirst().dropLast().map(\.id) == endings, "\(sentence): \(frames)")
            #expect(frames.last?.notice?.code == code, "\(sentence): \(frames)")
            #expect(frames.last?.notice?.lastID == endings.last ?? 0, "\(sentence): \(frames)")
            try peer.takeEnd()
        }
    }

    @Test("7.2-3 A client that has shut down its writing gets megabytes of answers to the last byte")
    func halfClosed() throws {
        try withServer { server in
            let peer = try server.open()
            let message = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            for start in stride(from: 0, to: message.count, by: 16384) {
                let end = start + 16384
                try peer.send(.request(1, Array(message[start..<end]), more: end < message.count))
            }
            peer.shutdownWriting()
            let frames = try peer.frames(upTo: .close)
            #expect(frames.dropLast().flatMap(\.payload) == message)
            #expect(frames.last == .close(.normal, lastID: 1))
        }
    }
}

// MARK: SHORT

extension Live.Endings.Closing {
    @Test("7.3-4 The server's whole answer to a short connection comes in one write")
    func oneWrite() throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
            try peer.read(until: .now + .seconds(5))
            #expect(peer.received == 97)
            try peer.takePreface()
            #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
        }
    }

    @Test("7.3-3 A short connection ends with its answer, also where the request comes in chunks or is cancelled")
    func shortEndings() throws {
        try withServer { server in
            let chunked = try server.open(.short)
            try chunked.send(.ping(1), .request(4, "hel", more: true), .ping(2), .request(4, "lo"))
            let frames = try chunked.frames(upTo: .close)
            #expect(frames.last == .close(.normal, lastID: 4))
            #expect(frames.first { $0.type == .response }?.text == "hello")
            try chunked.takeEnd()
            let cancelled = try server.open(.short)
            try cancelled.send(.request(1, "a", more: true), .cancel(1))
            let ending = try cancelled.frames(upTo: .close)
            #expect(ending.map(\.type) == [.failure, .close] && ending[0].notice?.code == .cancelled)
            try cancelled.takeEnd()
        }
    }

    static let shortBreaches = [
        Breach("7.3-1", "MESSAGE", RawFrame.message([1])),
        Breach("7.3-1", "GOAWAY", RawFrame.goAway()),
        Breach("7.3-1", "a second request while the first is open", RawFrame.request(1, "a", more: true), .request(2)),
    ]

    @Test("7.3-1 What a short connection may not carry is dropped", arguments: shortBreaches, Chop.allCases)
    func shortBreach(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in
            try breach.expectDrop(of: server.open(.short), greeted: true, by: server, chop)
        }
    }

    @Test("S4 A short connection that ends before its request gets CLOSE(NORMAL)")
    func shortEndOfStream() throws {
        try withServer { server in
            let peer = try server.open(.short)
            peer.shutdownWriting()
            #expect(try peer.takeFrame() == .close(.normal))
            try peer.takeEnd()
        }
    }

    @Test("2.3-1 A short connection without its request has a heartbeat, and is dropped when it is silent")
    func shortSilent() throws {
        try withServer("--timeout", "300ms") { server in
            let peer = try server.open(.short)
            #expect(try peer.takeClose().code == .silent)
        }
    }
}

// MARK: GOAWAY

extension Live.Endings.Closing {
    @Test("7.4-5 GOAWAY of a client with nothing unanswered gets CLOSE(NORMAL)", arguments: Chop.allCases)
    func goAway(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1), .goAway(.normal, "bye"), chop: chop)
            #expect(try peer.frames(upTo: .close).map(\.type) == [.response, .close])
            try peer.takeEnd()
        }
    }

    @Test("7.4-4 A client that has sent GOAWAY may finish the request that it has begun")
    func goAwayBetweenChunks() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, "hel", more: true), .goAway(), .goAway(), .ping(1), .request(1, "lo"))
            let frames = try peer.frames(upTo: .close)
            #expect(frames.contains(.response(1, Array("hello".utf8))), "\(frames)")
            #expect(frames.last == .close(.normal, lastID: 1))
        }
    }

    @Test("7.4-4 A request that is begun after GOAWAY is dropped, where the connection has not ended before")
    func requestAfterGoAway() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, "a", more: true), .goAway(), .request(1, "b"), .request(2))
            let close = try peer.takeClose()
            #expect(close.lastID == 1)
        }
    }
}
