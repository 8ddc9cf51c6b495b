#if DEBUG
    import Glibc
    import RawWire
    import Testing

    extension Live.Children {
        /// Calls that fail once and in the right moment, which no limit and no full disk can bring about. A debug build is
        /// told of them by the variable LIFELINE_FORCE_ERRNO.
        @Suite("Where a system call of the parent fails")
        struct ForcedFailures {
            private func withFailing(_ calls: String, _ body: (ServerProcess) throws -> Void) throws {
                try withServer(prefix: ["env", "LIFELINE_FORCE_ERRNO=\(calls)"], body)
            }

            private func expectBusy(_ peer: RawPeer) throws {
                try peer.takePreface()
                let close = try peer.takeFrame().notice
                #expect(close?.code == .busy && close?.retryAfter ?? 0 > 0)
                try peer.takeEnd()
            }

            @Test(
                "accept: a client that finds too few resources is served after a pause",
                arguments: ["ENFILE", "ENOMEM"])
            func accept(name: String) throws {
                try withFailing("accept:\(name)") { server in
                    let begun = SuspendingClock.now
                    _ = try server.open()
                    #expect(SuspendingClock.now - begun >= .milliseconds(100))
                    try server.log.line(with: " error accept failed ", "accept: ")
                    #expect(server.log.linesSoFar.count { $0.contains("accept failed") } == 1)
                }
            }

            @Test("accept: without a free descriptor a client is refused with the spare one, and the next waits")
            func noDescriptor() throws {
                try withFailing("accept:EMFILE") { server in
                    let begun = SuspendingClock.now
                    try expectBusy(server.connect())
                    _ = try server.open()
                    #expect(SuspendingClock.now - begun >= .milliseconds(100))
                    try server.log.line(with: "accept failed", "Too many open files")
                }
            }

            @Test("accept: what ended before it was accepted costs nothing and is not told")
            func gone() throws {
                try withFailing("accept:ECONNABORTED,accept:EINTR:3,accept:EPROTO") { server in
                    _ = try server.open()
                    #expect(!server.log.textSoFar.contains("accept failed"))
                }
            }

            @Test("fork: each client is refused, and the pause before the next doubles until one succeeds")
            func fork() throws {
                try withFailing("fork:EAGAIN:2,fork:ENOMEM") { server in
                    let begun = SuspendingClock.now
                    for _ in 0..<3 { try expectBusy(server.connect()) }
                    _ = try server.open()
                    // 100, 200 and 400 ms.
                    #expect(SuspendingClock.now - begun >= .milliseconds(700))
                    try server.log.line(with: " error fork failed ", "fork: Resource temporarily unavailable")
                    try server.log.line(with: "fork failed", "Cannot allocate memory")
                    let next = SuspendingClock.now
                    _ = try server.open()
                    #expect(SuspendingClock.now - next < .seconds(5))
                }
            }

            @Test("A pause that a drain outlives does not keep the parent from sleeping")
            func drainBehindPause() throws {
                try withServer(
                    "--drain", "2", prefix: ["env", "LIFELINE_FORCE_ERRNO=fork:OK,fork:EAGAIN:1"]
                ) { server in
                    let peer = try server.open()
                    try expectBusy(server.connect())
                    let before = try #require(ProcessFiles.processorTicks(of: server.pid))
                    let begun = SuspendingClock.now
                    server.process.kill(SIGTERM)
                    // The client stays to the end of the drain, and the parent has nothing to do.
                    #expect(try peer.frames(upTo: .close, within: .seconds(20)).map(\.type) == [.goAway, .close])
                    let ticks = try #require(ProcessFiles.processorTicks(of: server.pid)) - before
                    #expect(Duration.milliseconds(10 * ticks) < begun.age / 4)
                    peer.close()
                    #expect(try server.process.wait() == .status(0))
                }
            }

            @Test("poll: where it lacks memory the parent goes on, and serves")
            func poll() throws {
                // The connections that warm the parent up ask a few times before it does.
                try withFailing("poll:ENOMEM:20") { server in
                    _ = try server.open()
                    try server.log.line(with: " error poll failed ", "poll: Cannot allocate memory")
                }
            }

            @Test(
                "What the system refuses at the start is said, and the status is sysexits'",
                arguments: [
                    ("signalfd:EMFILE", 71, "cannot have signals: Too many open files (signalfd)"),
                    ("mmap:ENOMEM", 71, "Cannot allocate memory (mmap)"),
                    ("socket:ENFILE", 71, "Too many open files in system (socket)"),
                    ("bind:EACCES", 77, "Permission denied (bind)"),
                    ("listen:EADDRINUSE", 69, "Address already in use (listen)"),
                ] as [(String, Int32, String)])
            func start(call: String, status: Int32, text: String) throws {
                let server = try Spawned(
                    "server", ["--port", "0"], prefix: ["env", "LIFELINE_FORCE_ERRNO=\(call)"])
                #expect(try server.wait() == .status(status))
                try server.errors.line(with: text)
            }
        }
    }
#endif
