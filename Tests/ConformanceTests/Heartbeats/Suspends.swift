#if DEBUG
    import Glibc
    import RawWire
    import Testing

    extension Live.Heartbeats {
        /// A machine that was suspended. A debug build takes the suspend from a FIFO (LIFELINE_FORCE_SUSPEND); no test can
        /// suspend the machine itself.
        @Suite("Section 5: suspended machines") struct Suspends {}
    }

    /// Makes one process see suspends of its machine.
    private final class ForcedMachine {
        private let directory: TemporaryDirectory
        private let descriptor: Int32
        /// What the command is started with.
        let prefix: [String]

        init() throws {
            directory = try TemporaryDirectory()
            let path = directory.file("suspends")
            guard mkfifo(path, 0o600) == 0 else { throw systemError("mkfifo") }
            // With a reader of its own it can be written to at any time.
            descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { throw systemError("open") }
            prefix = ["env", "LIFELINE_FORCE_SUSPEND=\(path)"]
        }

        deinit { close(descriptor) }

        /// The machine resumes after so many milliseconds; after 0 somebody has set its time of day. The time that is told
        /// may be shorter by what passes between two reads of a clock.
        func resume(after milliseconds: Int) throws {
            let line = Array("\(milliseconds)\n".utf8)
            guard write(descriptor, line, line.count) == line.count else { throw systemError("write") }
        }
    }

    extension RawPeer {
        /// Answers the next frame, which must be a request for this text: no PING comes before it.
        fileprivate func echoNext(_ text: String) throws {
            let request = try take(.request)
            #expect(request.text == text)
            try send(.response(request.id, request.payload))
        }
    }

    extension Live.Heartbeats.Suspends {
        @Test(
            "5.11-4, 5.11-5 When the server's machine resumes, every child sends a PING at once, and the log tells it",
            arguments: [[], ["--pool", "3:3", "--pool-reuse", "9"]])
        func server(flags: [String]) throws {
            let machine = try ForcedMachine()
            try withServer(["--timeout", "24h"] + flags, prefix: machine.prefix) { server in
                let peers = try (0..<3).map { _ in try server.open() }
                try machine.resume(after: 5900)
                for peer in peers { try peer.send(.pong(to: try peer.takeFrame())) }
                try server.log.line(with: " info machine resumed suspended=5.", " children=3")
                // Each is alive, and has been asked once.
                for peer in peers {
                    try peer.send(.request(1))
                    #expect(try peer.takeFrame().type == .response)
                }
                for peer in peers { peer.close() }
            }
        }

        @Test("When somebody sets the time of day no PING is sent, and the next suspend is told with its own time")
        func clockSet() throws {
            let machine = try ForcedMachine()
            try withServer("--timeout", "24h", prefix: machine.prefix) { server in
                let peer = try server.open()
                try machine.resume(after: 0)
                // The parent handles what has woken it before it accepts.
                try server.open().close()
                for id: UInt32 in 1...2 {
                    try peer.send(.request(id))
                    #expect(try peer.takeFrame().type == .response)
                }
                try server.waitForChildren(1)
                try machine.resume(after: 2900)
                #expect(try peer.takeFrame().type == .ping)
                try server.log.line(with: "machine resumed suspended=2.", " children=1")
                #expect(server.log.linesSoFar.count { $0.contains("machine resumed") } == 1)
                peer.close()
            }
        }

        @Test("A handshake that is not whole is neither asked nor given more time, and is served when it is whole")
        func handshake() throws {
            let machine = try ForcedMachine()
            try withServer(prefix: machine.prefix) { server in
                let peer = try server.connect()
                try peer.send(Array(RawFrame.preface[..<4]))
                _ = try server.onlyChild()
                try machine.resume(after: 60_900)
                try server.log.line(with: "machine resumed suspended=60.", " children=1")
                try peer.send(RawFrame.preface[4...] + RawFrame.hello().bytes)
                try peer.takePreface()
                #expect(try peer.takeFrame().type == .welcome)
                peer.close()
            }
        }

        @Test(
            "5.11-4, 5.11-5 When the client's machine resumes, the client sends a PING at once; a set clock does nothing"
        )
        func client() throws {
            let machine = try ForcedMachine()
            let before = OpenDescriptors.count
            do {
                let listener = try RawListener()
                let client = try longClient(of: listener, on: machine)
                try tellingErrors(of: client) {
                    let peer = try listener.accept()
                    try peer.greet(.welcome(pingEvery: 40_000_000, deadAfter: 80_000_000))
                    try machine.resume(after: 0)
                    for text in ["one", "two"] {
                        try client.write("\(text)\n")
                        try peer.echoNext(text)
                        #expect(try client.output.line() == text)
                    }
                    try machine.resume(after: 5000)
                    try peer.send(.pong(to: try peer.takePing()))
                    try client.write("three\n")
                    try peer.echoNext("three")
                    #expect(try client.output.line() == "three")
                    peer.close()
                }
            }
            #expect(OpenDescriptors.count == before, "the test leaks a descriptor")
        }

        @Test("A server that has dropped the connection meanwhile is left at once, and the client comes back")
        func lost() throws {
            let machine = try ForcedMachine()
            let listener = try RawListener()
            let client = try longClient(of: listener, on: machine)
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 40_000_000, deadAfter: 80_000_000))
                try client.write("one\n")
                #expect(try peer.echo().text == "one")
                // It falls silent, as one behind a NAT that has forgotten the connection: what is asked is not answered.
                try machine.resume(after: 5000)
                _ = try peer.takePing()
                peer.reset()
                let again = try listener.accept()
                try again.greet(.welcome())
                try client.write("two\n")
                #expect(try again.echo().text == "two")
                again.close()
            }
        }

        private func longClient(of listener: RawListener, on machine: ForcedMachine) throws -> Spawned {
            try Spawned(
                "client", ["--host", "127.0.0.1", "--port", "\(listener.address.port ?? 0)"],
                prefix: machine.prefix, input: .pipe)
        }
    }
#endif
