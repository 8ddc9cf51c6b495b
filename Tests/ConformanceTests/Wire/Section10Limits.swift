import Glibc
import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 7.6 and 10: limits of the server and of the machine. None of them ends the parent.
    @Suite("Section 10: limits") struct Limits {}
}

extension Live.Wire.Limits {
    /// A client that is refused: the preface and CLOSE(BUSY) come though it has said much or nothing.
    private func expectBusy(_ peer: RawPeer, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try peer.takePreface()
        let frame = try peer.takeFrame()
        let close = frame.notice
        #expect(frame.type == .close && close?.code == .busy, "\(frame)", sourceLocation: sourceLocation)
        #expect(close?.lastID == 0 && close?.retryAfter ?? 0 > 0, "\(frame)", sourceLocation: sourceLocation)
    }

    @Test("7.6-1, 7.6-2 Beyond --max-connections a client gets the preface and CLOSE(BUSY) with retry_after")
    func maxConnections() throws {
        try withServer("--max-connections", "2") { server in
            let first = try server.open()
            let second = try server.open()
            for sent in [[], RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes, [0xFF]] {
                let peer = try server.connect()
                try peer.send(sent)
                try expectBusy(peer)
                try peer.takeEnd()
            }
            #expect(server.children.count == 2)
            try server.log.line(with: "refused", "BUSY", "--max-connections 2")
            try second.send(.close())
            try second.takeClose()
            try server.waitForChildren(1)
            let third = try server.open()
            try third.send(.request(1))
            #expect(try third.takeFrame().id == 1)
            try first.send(.request(1))
            #expect(try first.takeFrame().id == 1)
        }
    }

    @Test("7.6-1 A thousand clients refused at once cost the parent no descriptor, and hold up nobody")
    func manyRefused() throws {
        try withServer("--max-connections", "1") { server in
            let served = try server.open()
            let peers = try (0..<1000).map { _ in
                let peer = try server.connect()
                try peer.send(RawFrame.preface)
                return peer
            }
            try served.send(.request(1))
            #expect(try served.takeFrame().id == 1)
            for peer in peers { try expectBusy(peer) }
        }
    }

    @Test(
        "Where fork fails a client gets CLOSE(BUSY); the server lives on, and serves again when it can",
        .enabled(if: Spawned.mayDropPrivileges))
    func noProcesses() throws {
        let user = Spawned.unprivileged(54322)
        try withServer(prefix: user) { server in
            let before = try server.open()
            try Spawned.limit(server.pid, "--nproc=1:", prefix: user)
            // Where the fork failed the parent pauses; the next clients wait, and are refused too.
            for _ in 0..<3 { try expectBusy(server.connect()) }
            try server.log.line(with: "fork failed")
            try before.send(.request(1))
            #expect(try before.takeFrame().id == 1)
            try Spawned.limit(server.pid, "--nproc=4096:", prefix: user)
            #expect(try server.greeted().welcome.connection > 1)
        }
    }

    @Test("Where descriptors run out a client gets CLOSE(BUSY); the server lives on, and serves again when it can")
    func noDescriptors() throws {
        try withServer { server in
            let used = ProcessFiles.descriptors(of: server.pid).count
            let before = try server.open()
            try server.waitForChildren(1)
            try Spawned.limit(server.pid, "--nofile=\(used):")
            for _ in 0..<3 { try expectBusy(server.connect()) }
            try server.log.line(with: "accept failed")
            let ticks = ProcessFiles.processorTicks(of: server.pid) ?? 0
            let waiting = try server.connect()
            _ = try? waiting.take(1, within: .milliseconds(300))
            #expect((ProcessFiles.processorTicks(of: server.pid) ?? 0) - ticks < 10, "it does not spin")
            try Spawned.limit(server.pid, "--nofile=1024:")
            try before.send(.request(1))
            #expect(try before.takeFrame().id == 1)
            _ = try server.open()
        }
    }

    @Test("A server that is idle sleeps: it wakes for deadlines, not for nothing")
    func idle() throws {
        try withServer { server in
            let peers = try (0..<50).map { _ in try server.open() }
            let processes = server.children + [server.pid]
            let before = processes.map { ProcessFiles.processorTicks(of: $0) ?? 0 }.reduce(0, +)
            #expect(try !peers[0].read(until: .now + .seconds(1)))
            let after = processes.map { ProcessFiles.processorTicks(of: $0) ?? 0 }.reduce(0, +)
            #expect(after - before <= 3, "\(after - before) hundredths of a second of 51 processes")
        }
    }

    @Test("10 A message of the full default length comes back, and one byte more is MESSAGE_TOO_LARGE")
    func longestMessage() throws {
        try withServer { server in
            let peer = try server.open()
            let chunk = [UInt8](repeating: 3, count: 16384)
            for index in 0..<64 { try peer.send(.request(1, chunk, more: index < 63)) }
            var length = 0
            repeat { length += try peer.take(.response).payload.count } while length < 1 << 20
            #expect(length == 1 << 20)
            for _ in 0..<64 { try peer.send(.request(2, chunk, more: true)) }
            try peer.send(Array(RawFrame.request(2, [1]).bytes.prefix(12)))
            #expect(try peer.takeClose().code == .messageTooLarge)
        }
    }

    @Test("11 What a peer says that it will send costs nothing: 500 announced megabytes do not show in memory")
    func announced() throws {
        try withServer("--max-frame", "16m", "--max-message", "16m", "--max-queued", "16m") { server in
            let peers = try (0..<30).map { _ in try server.open() }
            let before = server.children.map { ProcessFiles.anonymousMemory(of: $0) ?? 0 }.reduce(0, +)
            for peer in peers {
                try peer.send(Array(RawFrame.request(1).with { $0.claimedLength = 16 << 20 }.bytes.prefix(20)))
                try peer.send([1])
            }
            _ = eventually(within: .milliseconds(200)) { false }
            let after = server.children.map { ProcessFiles.anonymousMemory(of: $0) ?? 0 }.reduce(0, +)
            #expect(after - before < 30 << 20)
        }
    }
}
