import Glibc
import RawWire
import Testing

extension Live.Work {
    /// Handlers that ask their client (section 3.7), and what it, the log and the metrics see of it.
    @Suite("Handlers that ask") struct Asking {}
}

extension RawPeer {
    /// The next REQUEST; PINGs before it are answered, because a message may wait for the PONG.
    fileprivate func takeRequest() throws -> RawFrame { try takeMessage(.request) }

    fileprivate func takeMessage(_ type: RawFrame.Kind) throws -> RawFrame {
        while true {
            let frame = try takeFrame()
            guard frame.type == .ping else {
                guard frame.type == type else { throw Unexpected("expected \(type), got \(frame)") }
                return frame
            }
            try send(.pong(to: frame))
        }
    }
}

extension RawFrame {
    fileprivate var text: String { String(decoding: payload, as: UTF8.self) }

    fileprivate static func response(_ id: UInt32, _ text: String, more: Bool = false) -> RawFrame {
        response(id, Array(text.utf8), more: more)
    }
}

extension Live.Work.Asking {
    /// A HELLO of a client that answers.
    private func hello(_ inFlight: UInt32 = 16, _ queued: UInt32 = 65536) -> RawFrame {
        .hello(minor: 1, options: RawFrame.option(5, bigEndian(inFlight) + bigEndian(queued)))
    }

    private func withAsking(_ arguments: String..., body: (ServerProcess) throws -> Void) throws {
        try withServer(arguments, command: "handlers", prefix: ServerProcess.ownSession, body)
    }

    // MARK: Outcomes

    @Test("The outcomes that the client decides, while both sides use the same ids")
    func outcomes() throws {
        try withAsking("--metrics", "127.0.0.1:0") { server in
            let scraper = try Scraper(server)
            let peer = try server.open(hello())
            let answers: [(RawFrame, String)] = [
                (.response(1, "rebooting"), "rebooting"),
                (.failure(2, .handlerFailed, "no such till"), "FAILED: HANDLER_FAILED, no such till"),
                (.failure(3, .refused, "full"), "REFUSED: REFUSED, full"),
            ]
            for (index, (answer, expected)) in answers.enumerated() {
                let id = UInt32(index + 1)
                try peer.send(.request(id, "ask-for 20000 reboot till-7"))
                let asked = try peer.takeRequest()
                #expect(asked.id == id && asked.text == "reboot till-7")
                try peer.send(answer)
                let answered = try peer.takeMessage(.response)
                #expect(answered.id == id && answered.text == expected)
            }
            #expect(
                try eventually {
                    let all = try scraper.samples()
                    return ["answered", "failed", "refused"].allSatisfy {
                        all["server_requests_total{outcome=\"\($0)\"}"] == 1
                    }
                })
            try peer.send(.close(lastID: 3))
            #expect(try peer.takeClose().code == .normal)
            peer.close()
            #expect(
                try eventually {
                    let all = try scraper.samples()
                    return all["connections_live"] == 0 && all.sum("server_requests_total") == 3
                })
        }
    }

    @Test("A timeout is told when it is over, and the client is told by CANCEL; its late answer is nothing")
    func timeout() throws {
        try withAsking { server in
            let peer = try server.open(hello())
            let start = SuspendingClock.now
            try peer.send(.request(1, "ask-for 300 are you there?"))
            #expect(try peer.takeRequest().id == 1)
            #expect(try peer.take(.cancel).id == 1)
            #expect(try peer.take(.response).text == "UNKNOWN: the answer did not come in time")
            #expect(start.age >= .milliseconds(300))
            try peer.send(.response(1, "late"), .request(2, "hello"))
            #expect(try peer.take(.response).text == "hello")
            try peer.send(.close(lastID: 1))
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("A client that answers nothing is not asked, and a handler that answers at once does not wait for itself")
    func notAsked() throws {
        try withAsking { server in
            let peer = try server.open(.hello(minor: 1))
            try peer.send(.request(1, "ask-for 20000 x"))
            #expect(try peer.take(.response).text == "NOT_SENT: the client answers no requests")
        }
        try withAsking("--at-once") { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-for 20000 x"))
            #expect(try peer.take(.response).text.hasPrefix("NOT_SENT: a handler that answers at once"))
            try peer.send(.request(2, "ask-beside 20000 y"))
            let asked = try [peer.takeFrame(), peer.takeFrame()].first { $0.type == .request }
            #expect(asked?.id == 1 && asked?.text == "y", "from a thread beside it works")
            try peer.send(.response(1, "z"))
            try server.log.line(with: "handler: outcome z")
        }
    }

    @Test("A request and an answer of many chunks, with a PING between them")
    func chunks() throws {
        try withAsking { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-long 40000"))
            var length = 0
            while true {
                let chunk = try peer.takeRequest()
                #expect(chunk.id == 1)
                length += chunk.payload.count
                if chunk.flags & RawFrame.more == 0 { break }
            }
            #expect(length == 40_000)
            let part = [UInt8](repeating: 0x61, count: 16384)
            for nonce in 1...10 as ClosedRange<UInt64> {
                try peer.send(.response(1, part, more: true), .ping(nonce))
                #expect(try peer.take(.pong).nonce == nonce)
            }
            try peer.send(.response(1, ""))
            #expect(try peer.take(.response).text == "163840 bytes")
            try peer.send(.request(2, "ask-long 70000"))
            #expect(try peer.take(.response).text == "NOT_SENT: the client takes at most 65536 bytes")
        }
    }

    @Test("Sixteen threads ask at once: four at a time, as the client says, and each gets its own answer")
    func many() throws {
        for flags in [[], ["--at-once"]] {
            try withServer(flags, command: "handlers", prefix: ServerProcess.ownSession) { server in
                let peer = try server.open(hello(4))
                try peer.send(.request(1, "ask-many 16"))
                var waiting: [RawFrame] = []
                var told: Set<String> = []
                var answered = 0
                while told.count < 16 {
                    let frame = try peer.takeFrame()
                    switch frame.type {
                    case .request: waiting.append(frame)
                    case .message: told.insert(frame.text)
                    case .ping: try peer.send(.pong(to: frame))
                    default: break
                    }
                    #expect(waiting.count <= 4, "the client takes four")
                    // The last first, and only when four have come, or all.
                    while waiting.count == 4 || answered + waiting.count == 16, let last = waiting.popLast() {
                        answered += 1
                        try peer.send(.response(last.id, last.text + "!"))
                    }
                }
                #expect(told == Set((0..<16).map { "\($0): \($0)!" }))
            }
        }
    }

    // MARK: The end

    @Test(
        "The client ends the connection in the middle: the thread that waits is told at once, by how it has ended",
        arguments: [
            ("close 0", "REFUSED"), ("close 1", "UNKNOWN"), ("end", "UNKNOWN"), ("reset", "UNKNOWN"),
            ("violation", "UNKNOWN"), ("close 9", "UNKNOWN"),
        ])
    func clientEnds(how: String, outcome: String) throws {
        try withAsking { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-beside 60000 x"))
            _ = try [peer.takeFrame(), peer.takeFrame()]
            switch how {
            case "close 0", "close 1", "close 9":
                let lastID = UInt32(String(how.last!))!
                try peer.send(.close(lastID: lastID))
                #expect(try peer.takeClose().code == (lastID > 1 ? .protocolError : .normal))
            case "end": peer.close()
            case "violation":
                try peer.send(.failure(7, .internalError))
                #expect(try peer.takeClose().code == .protocolError)
            default: peer.reset()
            }
            try server.log.line(with: "handler: outcome \(outcome): the connection", within: .seconds(10))
        }
    }

    @Test("SIGTERM while the handler asks for its client's answer: both are answered, then comes CLOSE")
    func serverEnds() throws {
        try withAsking { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-for 60000 x"))
            #expect(try peer.takeRequest().id == 1)
            server.process.kill(SIGTERM)
            #expect(try peer.take(.goAway).notice?.code == .shuttingDown)
            try peer.send(.response(1, "y"))
            #expect(try peer.take(.response).text == "y")
            #expect(try peer.takeClose().code == .shuttingDown)
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("SIGTERM while a thread beside the handler asks: CLOSE does not wait for it, and it is told")
    func serverEndsBeside() throws {
        try withAsking { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-beside 60000 x"))
            _ = try [peer.takeFrame(), peer.takeFrame()]
            server.process.kill(SIGTERM)
            #expect(try peer.takeClose().code == .shuttingDown)
            try server.log.line(with: "handler: outcome UNKNOWN: the connection has ended: SHUTTING_DOWN")
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("The client's GOAWAY: CLOSE waits for its answer, and nothing new is asked")
    func clientGoesAway() throws {
        try withAsking { server in
            let peer = try server.open(hello(1))
            try peer.send(.request(1, "ask-beside 60000 x"), .request(2, "ask-beside 60000 y"))
            _ = try [peer.takeFrame(), peer.takeFrame(), peer.takeFrame()]
            try peer.send(.goAway())
            try server.log.line(
                with: "handler: outcome NOT_SENT: the connection has ended: NORMAL, the client went away")
            try peer.send(.ping(1))
            #expect(try peer.take(.pong).nonce == 1, "no CLOSE before")
            try peer.send(.response(1, "bye"))
            #expect(try peer.takeClose().code == .normal)
            try server.log.line(with: "handler: outcome bye")
        }
    }

    // MARK: The handler's time

    @Test("--handler-timeout: what was asked for the request is cancelled with it, and the connection goes on")
    func handlerTimeout() throws {
        try withAsking("--handler-timeout", "0.2") { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-for 60000 x"))
            #expect(try peer.takeRequest().id == 1)
            #expect(try peer.take(.failure).notice?.code == .handlerFailed)
            #expect(try peer.take(.cancel).id == 1)
            try peer.send(.failure(1, .cancelled), .request(2, "hello"))
            #expect(try peer.take(.response).text == "hello")
        }
    }

    @Test("--handler-timeout: a handler that waits on for its client costs its connection, as any other that blocks")
    func stuck() throws {
        try withAsking("--handler-timeout", "0.1") { server in
            let peer = try server.open(hello())
            try peer.send(.request(1, "ask-on 60000 x"))
            #expect(try peer.takeRequest().id == 1)
            #expect(try peer.take(.failure).notice?.code == .handlerFailed)
            #expect(try peer.takeClose().code == .handlerFailed)
            peer.close()
            try server.waitForChildren(0)
        }
    }

    @Test("A process of a pool that was asked from serves the next connection")
    func reuse() throws {
        try withAsking("--pool-reuse", "3") { server in
            for _ in 1...2 {
                let peer = try server.open(hello())
                try peer.send(.request(1, "ask-for 20000 x"))
                let asked = try peer.takeRequest()
                #expect(asked.id == 1, "each connection counts its own")
                try peer.send(.response(1, "y"))
                #expect(try peer.take(.response).text == "y")
                try peer.send(.close(lastID: 1))
                try peer.takeClose()
            }
        }
    }
}
