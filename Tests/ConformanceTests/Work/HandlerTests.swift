import Glibc
import RawWire
import Testing

extension Live.Work {
    /// Handlers that block, stream, speak unasked and break, and what the client, the log and others see of it.
    @Suite("Handlers") struct Handlers {}
}

// MARK: Output

extension Live.Work.Handlers {
    @Test(
        "What a handler prints is on standard output when the line ends, in order, and its last line at its end",
        arguments: [[], ["--at-once"], ["--pool-reuse", "3"], ["--pool-reuse", "3", "--at-once"]])
    func prints(_ flags: [String]) throws {
        try withServer(flags, command: "handlers") { server in
            for connection in 1...2 {
                let peer = try server.open()
                try peer.send(.request(1, "say-out one \(connection)"), .request(2, "say-out two \(connection)"))
                for word in ["one", "two"] {
                    _ = try peer.take(.response)
                    #expect(try server.process.output.line(within: .seconds(5)) == "\(word) \(connection)")
                }
                try peer.send(.close())
                try peer.takeClose()
            }
            let last = try server.open()
            try last.send(.request(1, "begin-out three"))
            _ = try last.take(.response)
            try last.send(.close())
            try last.takeClose()
            // A process of a pool ends with the server.
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            #expect(server.process.output.waitForEnd())
            #expect(server.process.output.textSoFar.hasSuffix("two 2\nthree"), "it came once, and as a whole")
        }
    }

    @Test(
        "A process with a second thread does not become a server: it says so, and serves nobody",
        arguments: ["init", "run"])
    func threads(_ time: String) throws {
        let server = try Spawned("handlers", ["--port", "0", "--thread", time])
        defer { server.kill(SIGKILL) }
        #expect(try server.wait() == .status(1))
        #expect(server.errors.textSoFar.contains("this process has 2 threads"))
        #expect(!server.errors.textSoFar.contains("info listening"))
    }
}

// MARK: Busy

extension Live.Work.Handlers {
    @Test("A handler that blocks for ten times T: PINGs are answered, and PONG says for how long it has been working")
    func busy() throws {
        try withServer("--timeout", "0.3", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "sleep 3000"))
            var longest: [UInt32] = []
            for nonce in 1...UInt64(1000) {
                try peer.send(.ping(nonce))
                var frame = try peer.takeFrame()
                // The server asks where this client was late.
                while frame.type == .ping { frame = try peer.takeFrame() }
                guard let pong = frame.pong else {
                    #expect(frame.type == .response && frame.id == 1, "\(frame)")
                    break
                }
                #expect(pong.inFlight == 1 && pong.queued == 10)
                longest.append(pong.longest)
                // One PING each ping_every, as a client may: the answer is the event that ends the wait.
                if try peer.read(until: .now + .milliseconds(90)) { continue }
            }
            #expect(longest.count >= 10, "\(longest)")
            #expect(longest == longest.sorted() && longest.last ?? 0 > 2000, "\(longest)")
        }
    }

    @Test(
        "A client that leaves is noticed while the handler works, and the handler is told",
        arguments: ["close", "reset", "CLOSE", "CANCEL", "silence"])
    func leaves(_ how: String) throws {
        try withServer("--timeout", how == "silence" ? "0.2" : "30", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "wait 20000"))
            try server.log.line(with: "handler: began 1")
            let start = SuspendingClock.now
            switch how {
            case "close": peer.close()
            case "reset": peer.reset()
            case "CLOSE": try peer.send(.close())
            case "CANCEL": try peer.send(.cancel(1))
            default: break
            }
            try server.log.line(with: "handler: cancelled 1", within: .seconds(10))
            try server.log.line(with: "handler: waited 1 false", within: .seconds(10))
            if how != "CANCEL" { try server.log.line(with: "handler: closed", within: .seconds(10)) }
            #expect(start.age < .seconds(10), "the handler would have waited for 20 s")
            if how == "CANCEL" { #expect(try peer.takeFrame().notice?.code == .cancelled) }
        }
    }

    @Test("A client that only ended its stream still gets its answer (7.2-3)")
    func halfClosed() throws {
        try withServer(command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "wait 300"))
            peer.shutdownWriting()
            let frames = try peer.frames(upTo: .close)
            #expect(frames.map(\.type) == [.ping, .response, .close])
            try server.log.line(with: "handler: waited 1 true")
        }
    }

    @Test("--handler-timeout: a request that has had its time fails, and one that comes back goes on")
    func timeout() throws {
        try withServer("--handler-timeout", "0.2", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "sleep 500"), .request(2, "hello"))
            let failure = try peer.takeFrame()
            #expect(failure.id == 1 && failure.notice?.code == .handlerFailed)
            #expect(try peer.takeFrame().id == 2)
        }
    }

    @Test("A handler that does not come back costs its connection: CLOSE(HANDLER_FAILED), and the process is gone")
    func stuck() throws {
        try withServer("--handler-timeout", "0.1", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "spin"), .request(2, "hello"))
            #expect(try peer.takeFrame().notice?.code == .handlerFailed)
            let close = try peer.takeClose()
            #expect(close.code == .handlerFailed && close.lastID == 1, "request 2 can be sent again")
            peer.close()
            try server.waitForChildren(0)
            try server.log.line(with: "closed", "reason=HANDLER_FAILED", "by=server")
        }
    }

    @Test("A process whose handler does not come back when the connection is over ends after the grace")
    func grace() throws {
        try withServer("--grace", "0.3", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "spin"), .close())
            _ = try peer.takeClose()
            peer.close()
            try server.waitForChildren(0)
        }
    }
}

// MARK: Answers

extension Live.Work.Handlers {
    @Test("Requests are answered in order, each by the handler's own state", arguments: [[], ["--at-once"]])
    func order(_ flags: [String]) throws {
        try withServer(flags, command: "handlers") { server in
            let peer = try server.open()
            for id in 1...UInt32(200) { try peer.send(.request(id, "count")) }
            for id in 1...UInt32(200) {
                let frame = try peer.take(.response)
                #expect(frame.id == id && frame.payload == Array("\(id)".utf8))
            }
        }
    }

    @Test("A failure that the handler throws is what the client is told", arguments: [[], ["--at-once"]])
    func failure(_ flags: [String]) throws {
        try withServer(flags, command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "fail 77"), .request(2, "half"), .request(3, "x"))
            let failure = try peer.takeFrame().notice
            #expect(failure?.code == .handlerFailed && failure?.retryAfter == 77)
            let frames = try [peer.takeFrame()] + (flags.isEmpty ? [peer.takeFrame()] : [])
            #expect(frames.last?.notice?.code == .handlerFailed && frames.last?.id == 2)
            if flags.isEmpty { #expect(frames[0].type == .response && frames[0].flags == 1, "its first part was sent") }
            #expect(try peer.take(.response).id == 3)
        }
    }

    @Test(
        "A response in parts for a client that reads slowly: its child's memory stays bounded, heartbeats go on",
        .boundsMemory)
    func stream() throws {
        try withServer(command: "handlers") { server in
            let peer = try server.open(.hello(maxMessage: 1 << 30), receiveBuffer: 65536)
            let child = try server.onlyChild()
            let before = try #require(ProcessFiles.anonymousMemory(of: child))
            let parts = 2048
            try peer.send(.request(1, "parts \(parts) 32768"))
            var bytes = 0
            var pongs: UInt64 = 0
            var most = 0
            while true {
                let frame = try peer.takeFrame()
                if frame.type == .pong {
                    pongs += 1
                    continue
                }
                bytes += frame.payload.count
                if frame.flags == 0 { break }
                if bytes % (4 << 20) < 16384 {
                    try peer.send(.ping(pongs + 1))
                    most = max(most, try #require(ProcessFiles.anonymousMemory(of: child)))
                }
            }
            #expect(bytes == parts * 32768)
            #expect(pongs >= 10)
            #expect(most - before < 8 << 20, "64 MiB were sent; the process grew by \(most - before) bytes")
        }
    }

    @Test("A handler whose client goes away in the middle of a stream is told so by the next part")
    func streamCut() throws {
        try withServer("--timeout", "0.3", command: "handlers") { server in
            let peer = try server.open(.hello(maxMessage: 1 << 30), receiveBuffer: 65536)
            try peer.send(.request(1, "parts 100000 32768"))
            // It says nothing and never reads: it is dropped while the handler waits for room.
            try server.log.line(with: "warning closed", "by=server")
            try server.log.line(with: "handler: closed")
            #expect(!server.log.textSoFar.contains("sent all"))
            peer.close()
        }
    }

    @Test("A thread beside the handler speaks unasked until the connection ends")
    func background() throws {
        try withServer(command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "tick 20"))
            _ = try peer.take(.response)
            for tick in 0..<5 { #expect(try peer.take(.message).payload == Array("tick \(tick)".utf8)) }
            try peer.send(.close())
            _ = try peer.frames(upTo: .close)
            try server.waitForChildren(0)
        }
    }

    @Test("What a handler says unasked goes out ahead of its answer", arguments: [[], ["--at-once"]])
    func messages(_ flags: [String]) throws {
        try withServer(flags, command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "say 50"))
            let frames = try (0...50).map { _ in try peer.takeFrame() }
            #expect(frames.prefix(50).allSatisfy { $0.type == .message } && frames[50].type == .response)
        }
    }

    @Test("One-way messages that came before the client's CLOSE reach a handler that is still busy")
    func lastMessages() throws {
        try withServer(command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "sleep 200"), .message(Array("one".utf8)), .message(Array("two".utf8)), .close())
            _ = try peer.takeClose()
            try server.log.line(with: "handler: received one")
            try server.log.line(with: "handler: received two")
            try server.log.line(with: "handler: closed")
        }
    }
}

// MARK: Broken

extension Live.Work.Handlers {
    @Test(
        "A handler that crashes: the client gets CLOSE(HANDLER_FAILED), the log the signal and the request, others nothing",
        arguments: [[], ["--at-once"]])
    func crashes(_ flags: [String]) throws {
        let signals = [("null 8", "SIGSEGV"), ("overflow 5", "SIGSEGV"), ("trap", "SIGILL"), ("abort", "SIGABRT")]
        try withServer(flags, command: "handlers") { server in
            let others = try (0..<10).map { _ in try server.open() }
            for (id, (command, signal)) in zip(UInt32(1)..., signals) {
                let peer = try server.open()
                try peer.send(.request(1, "count"))
                _ = try peer.take(.response)
                try peer.send(.request(2, command))
                let close = try peer.takeClose()
                #expect(close.code == .handlerFailed && close.lastID == 2, "\(close)")
                try server.log.line(
                    with: "child died", "signal=\(signal)", "request=2", "peer=127.0.0.1:\(peer.localPort)")
                for other in others {
                    try other.send(.request(id, "hello"))
                    #expect(try other.takeFrame().id == id)
                }
            }
        }
    }

    @Test("A handler that ends its process, with 0 too, is logged with its request")
    func exits() throws {
        try withServer(command: "handlers") { server in
            for status in [0, 3] {
                let peer = try server.open()
                try peer.send(.request(1, "exit \(status)"))
                try peer.takeEnd()
                try server.log.line(with: "child died", "status=\(status)", "request=1")
                _ = try server.open()
            }
        }
    }

    @Test("A handler that prints reaches standard output and nobody's connection")
    func prints() throws {
        try withServer(command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "print"))
            #expect(try peer.takeFrame().payload == Array("print".utf8))
            #expect(try server.process.output.line() == "printed")
        }
    }

    @Test("A handler that closes a descriptor which is not its own harms its own connection alone")
    func closes() throws {
        try withServer("--timeout", "1", command: "handlers") { server in
            for descriptor in 3...8 {
                let other = try server.open()
                let peer = try server.open()
                try peer.send(.request(1, "close \(descriptor)"))
                // What comes depends on what it closed; the connection works on, or ends soon.
                _ = try peer.nextFrame()
                peer.close()
                try other.send(.request(1, "hello"))
                #expect(try other.take(.response).id == 1)
            }
        }
    }

    @Test("A handler that allocates without end dies of --max-memory, which the log names", .boundsMemory)
    func memory() throws {
        try withServer("--max-memory", "300m", command: "handlers") { server in
            let other = try server.open()
            let peer = try server.open()
            try peer.send(.request(1, "allocate 10000000"))
            #expect(try peer.takeClose().code == .handlerFailed)
            try server.log.line(with: "child died", "request=1", "limit=max-memory")
            try other.send(.request(1, "hello"))
            #expect(try other.takeFrame().id == 1)
        }
    }

    @Test("A handler that computes without end dies of --max-cpu, which the log names", .timeLimit(.minutes(1)))
    func processorTime() throws {
        try withServer("--max-cpu", "1", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "spin"))
            try peer.readToEnd(within: .seconds(50))
            try server.log.line(with: "child died", "request=1", "limit=max-cpu")
        }
    }
}
