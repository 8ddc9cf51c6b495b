import Glibc
import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, section 7: CLOSE, end of stream, SHORT, GOAWAY.
    @Suite("Section 7: closing") struct Closing {}
}

// MARK: CLOSE

extension Live.Wire.Closing {
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
            let behind = [UInt8](repeating: 0xFF, count: 64)
            if chop == .whole {
                try peer.send(RawFrame.close().bytes + behind)
                #expect(try peer.takeFrame() == .close(.normal))
                try peer.takeEnd()
            } else {
                // The server may be gone before the last byte: then the kernel refuses it.
                try peer.send(.close(), chop: chop)
                _ = try? peer.send(behind, chop: chop)
                #expect(try peer.takeFrame() == .close(.normal))
            }
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
                try server.waitForChildren(0)
                return start.age
            }
        }
    }

    @Test("7.1-2 The end of the stream comes right behind CLOSE, while the server still reads on")
    func endBehindClose() throws {
        try withServer { server in
            // One that comes with the end of reading comes a second after CLOSE.
            try expectSooner(than: .seconds(1)) {
                let peer = try server.open()
                let start = SuspendingClock.now
                try peer.send(.unknown(0x77, flags: 0))
                _ = try peer.take(.close)
                try peer.takeEnd()
                let time = server.children.isEmpty ? .seconds(60) : start.age
                peer.close()
                try server.waitForChildren(0)
                return time
            }
        }
    }

    @Test("7.1-3 The server closes at once when the client's end of stream comes")
    func noLinger() throws {
        try withServer { server in
            // A server that takes no notice of it closes a second after CLOSE.
            try expectSooner(than: .seconds(1)) {
                let peer = try server.open()
                let start = SuspendingClock.now
                try peer.send(.unknown(0x77, flags: 0))
                try peer.takeClose()
                peer.shutdownWriting()
                try server.waitForChildren(0)
                return start.age
            }
        }
    }

    @Test("7.2-6 A reset ends the child, in every state")
    func reset() throws {
        let opening = Self.opening
        try withServer("--log-level", "debug") { server in
            for (state, sent) in [
                [], Array(opening.prefix(4)), opening, opening + RawFrame.request(1, "a", more: true).bytes,
                opening + RawFrame.unknown(0x77, flags: 0).bytes,
            ].enumerated() {
                let peer = try server.connect()
                let port = peer.localPort
                try peer.send(sent)
                if state >= 2 { try peer.takePreface() }
                _ = try server.onlyChild()
                peer.reset()
                try server.waitForChildren(0)
                // A reset throws away what the server has not read: a client that said little is taken for a probe.
                let event = state < 2 ? " reason=" : " closed "
                try server.log.line(with: event, "peer=127.0.0.1:\(port) ")
            }
        }
    }
}

// MARK: End of stream

extension Live.Wire.Closing {
    static let opening = RawFrame.preface + RawFrame.hello().bytes

    @Test("7.2-2 The end of the stream before HELLO is whole gets CLOSE(PROTOCOL_ERROR) without a request")
    func beforeHello() throws {
        try withServer { server in
            for count in [1, 7, 8, 9, 20, 39] {
                let peer = try server.connect()
                try peer.send(Array(Self.opening.prefix(count)))
                peer.shutdownWriting()
                try peer.takePreface()
                let close = try peer.takeFrame()
                #expect(close.notice?.code == .protocolError && close.notice?.lastID == 0, "\(count) bytes")
                try peer.takeEnd()
            }
        }
    }

    /// What is sent, the endings that it is owed, and the code.
    static let ends: [(sentence: String, bytes: [UInt8], endings: [UInt32], code: RawCode)] = [
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

    @Test("7.2 The end of the stream: endings first, in their order, then CLOSE", arguments: Chop.allCases)
    func endOfStream(_ chop: Chop) throws {
        try withServer { server in
            for (sentence, bytes, endings, code) in Self.ends {
                let peer = try server.connect()
                try peer.send(Self.opening + bytes, chop: chop)
                peer.shutdownWriting()
                try peer.takePreface()
                let frames = try peer.frames(upTo: .close)
                #expect(frames.dropFirst().dropLast().map(\.id) == endings, "\(sentence): \(frames)")
                #expect(frames.last?.notice?.code == code, "\(sentence): \(frames)")
                #expect(frames.last?.notice?.lastID == endings.last ?? 0, "\(sentence): \(frames)")
                try peer.takeEnd()
            }
        }
    }
}

// MARK: SHORT

extension Live.Wire.Closing {
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

    @Test("2.3-1 A short connection without its request has a heartbeat, and is dropped when it is silent")
    func shortSilent() throws {
        try withServer("--timeout", "300ms") { server in
            let peer = try server.open(.short)
            #expect(try peer.takeClose().code == .silent)
        }
    }
}

// MARK: GOAWAY

extension Live.Wire.Closing {
    @Test("7.4-4 A client that has sent GOAWAY may finish the request that it has begun, and begins no other")
    func goAway() throws {
        try withServer { server in
            let finished = try server.open()
            try finished.send(.request(1, "hel", more: true), .goAway(), .goAway(), .ping(1), .request(1, "lo"))
            let frames = try finished.frames(upTo: .close)
            #expect(frames.contains(.response(1, Array("hello".utf8))), "\(frames)")
            #expect(frames.last == .close(.normal, lastID: 1))
            let begun = try server.open()
            try begun.send(.request(1, "a", more: true), .goAway(), .request(1, "b"), .request(2))
            #expect(try begun.takeClose().lastID == 1, "dropped, where the connection has not ended before")
        }
    }
}
