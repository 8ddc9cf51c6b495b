import Glibc
import let Posix.isSanitized
import Testing
import RawWire

extension Live.Children {
    /// A process for every connection: forks, signals, and what is left when one of them dies.
    @Suite("Processes") struct Processes {}
}

// MARK: Fork

extension Live.Children.Processes {
    @Test("Every connection has a child of its own: the parent keeps no copy of it, the child none of the listener")
    func descriptors() throws {
        try withServer { server in
            let before = ProcessFiles.descriptors(of: server.pid)
            let listener = try #require(sockets(before).first, "the listener is the parent's only socket")
            #expect(sockets(before).count == 1)
            var seen: Set<pid_t> = []
            let peers = try (1...3).map { _ in try server.open() }
            for child in server.children {
                seen.insert(child)
                let descriptors = ProcessFiles.descriptors(of: child)
                #expect(sockets(descriptors).count == 1, "the connection: \(descriptors)")
                #expect(!descriptors.values.contains(listener), "the listener is closed: \(descriptors)")
                // Standard streams, the connection, one descriptor for signals, and one of our own for standard error.
                #expect(descriptors.count == 6, "\(descriptors)")
            }
            #expect(seen.count == 3 && peers.count == 3)
            // The child may have said WELCOME before its parent comes to close its own copy.
            #expect(eventually { ProcessFiles.descriptors(of: server.pid) == before })
        }
    }

    private func sockets(_ descriptors: [Int32: String]) -> [String] {
        descriptors.values.filter { $0.hasPrefix("socket:") }
    }

    @Test("One child's state does not reach another: each counts from 0")
    func ownState() throws {
        try withServer("--handler", "count") { server in
            let peers = try (1...3).map { _ in try server.open() }
            for peer in peers {
                try peer.send(.request(1))
                #expect(try peer.takeFrame().text == "This is server send message:0")
            }
        }
    }

    @Test(
        "1,000 long connections at once, each answered by a process of its own; then all end at once and leave no zombie",
        .timeLimit(.minutes(1)))
    func thousand() throws {
        try withServer("--max-connections", "1000", "--timeout", "60") { server in
            var peers: [RawPeer] = []
            for id in UInt32(1)...1000 {
                let peer = try server.connect()
                try peer.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(id, "\(id)").bytes)
                peers.append(peer)
            }
            for (index, peer) in peers.enumerated() {
                try peer.takePreface(within: .seconds(20))
                _ = try peer.take(.welcome, within: .seconds(20))
                #expect(try peer.take(.response, within: .seconds(20)).text == "\(index + 1)")
            }
            #expect(server.children.count == 1000)
            for peer in peers { try peer.send(.close()) }
            for peer in peers { try peer.takeClose(within: .seconds(20)) }
            try server.waitForChildren(0, within: .seconds(20))
        }
    }

    @Test("1,000 children that are killed at the same instant leave no zombie")
    func thousandKilled() throws {
        // They say nothing: no handshake may time out before the last one is there.
        try withServer("--timeout", "60", "--handshake-timeout", "60", "--log-level", "error") { server in
            let peers = try (1...1000).map { _ in try server.connect() }
            try server.waitForChildren(1000, within: .seconds(20))
            for child in server.children { kill(child, SIGKILL) }
            try server.waitForChildren(0, within: .seconds(20))
            try readAll(peers, within: RawPeer.patience)
        }
    }
}

// MARK: Signals to a child

extension Live.Children.Processes {
    /// A sanitizer handles SIGSEGV itself: it reports it, and exits.
    private static let deadly = [SIGKILL, SIGABRT] + (isSanitized ? [] : [SIGSEGV])

    @Test("kill -9 of a child costs one client, and is logged with the signal", arguments: deadly)
    func killed(_ signal: Int32) throws {
        try withServer { server in
            let other = try server.open()
            let before = server.children
            let peer = try server.open()
            let child = try #require(server.children.first { !before.contains($0) })
            // Between whole frames, that is, not within the call that sends WELCOME.
            #expect(eventually { ProcessFiles.state(of: child) == "S" })
            kill(child, signal)
            // A crash still says CLOSE(HANDLER_FAILED); nothing can be said of SIGKILL.
            if signal != SIGKILL { #expect(try peer.takeFrame().notice?.code == .handlerFailed) }
            _ = try? peer.takeFrame()
            #expect(peer.ending != nil)
            let name = [SIGKILL: "KILL", SIGSEGV: "SEGV", SIGABRT: "ABRT"][signal] ?? ""
            try server.log.line(
                with: "child died", "pid=\(child)", "connection=2", "peer=127.0.0.1:\(peer.localPort)", name)
            try other.send(.request(1))
            #expect(try other.takeFrame().id == 1)
            _ = try server.open()
        }
    }

    @Test("A child may be killed in every state", arguments: 0..<6)
    func killedInState(_ state: Int) throws {
        try withServer { server in
            let peer = try server.connect()
            let opening = RawFrame.preface + RawFrame.hello().bytes
            let sent: [[UInt8]] = [
                [], Array(opening.prefix(10)), opening, opening + RawFrame.request(1, "a", more: true).bytes,
                opening + RawFrame.request(1).bytes, opening + RawFrame.unknown(0x77, flags: 0).bytes,
            ]
            try peer.send(sent[state])
            let child = try server.onlyChild()
            if state >= 2 { try peer.takePreface() }
            kill(child, SIGKILL)
            try server.waitForChildren(0)
            try server.log.line(with: "child died", "pid=\(child)")
        }
    }

    @Test("SIGTERM to a child ends that connection alone: GOAWAY, then CLOSE(SHUTTING_DOWN)")
    func terminatedChild() throws {
        try withServer { server in
            let other = try server.open()
            let before = server.children
            let peer = try server.open()
            let child = try #require(server.children.first { !before.contains($0) })
            kill(child, SIGTERM)
            let frames = try peer.frames(upTo: .close)
            #expect(frames.map(\.type) == [.goAway, .close])
            #expect(frames.allSatisfy { $0.notice?.code == .shuttingDown })
            try peer.takeEnd()
            try server.log.line(with: "closed", "pid=\(child)", "reason=SHUTTING_DOWN")
            try other.send(.request(1))
            #expect(try other.takeFrame().id == 1)
        }
    }

    @Test("A child that was stopped and goes on serves its client as before")
    func stoppedShortly() throws {
        try withServer { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            try peer.send(.request(1))
            kill(child, SIGCONT)
            #expect(try peer.takeFrame().id == 1)
        }
    }
}

// MARK: The end of the parent

extension Live.Children.Processes {
    @Test(
        "7.4-8 SIGTERM or SIGINT: GOAWAY and CLOSE(SHUTTING_DOWN) to every client, then exit status 0",
        arguments: [SIGTERM, SIGINT])
    func terminated(_ signal: Int32) throws {
        try withServer { server in
            let long = try server.open()
            try long.send(.request(3))
            _ = try long.take(.response)
            let short = try server.open(.short)
            let silent = try server.connect()
            try server.waitForChildren(3)
            server.process.kill(signal)
            let frames = try long.frames(upTo: .close)
            #expect(frames.map(\.type) == [.goAway, .close])
            #expect(frames.last?.notice?.code == .shuttingDown && frames.last?.notice?.lastID == 3)
            // A short connection and one without HELLO get CLOSE alone.
            #expect(try short.takeFrame().notice?.code == .shuttingDown)
            try silent.takePreface()
            #expect(try silent.takeFrame().notice?.code == .shuttingDown)
            for peer in [long, short, silent] { peer.close() }
            #expect(try server.process.wait() == .status(0))
            try server.log.line(with: "draining", "children=3")
            try server.log.line(with: "stopped", "connections=3")
        }
    }

    @Test("7.4-7 Requests that have come when SIGTERM comes are answered first")
    func answersFirst() throws {
        try withServer { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            // Stopped, so that both are there when it goes on.
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            try peer.send((1...200).flatMap { RawFrame.request($0, "\($0)").bytes })
            server.process.kill(SIGTERM)
            try server.log.line(with: "draining")
            kill(child, SIGCONT)
            let frames = try peer.frames(upTo: .close)
            #expect(frames.filter { $0.type == .response }.map(\.id) == Array(1...200))
            #expect(frames.last?.notice?.code == .shuttingDown && frames.last?.notice?.lastID == 200)
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("A client that does not read is killed at the end of --grace, and not before")
    func grace() throws {
        try withServer("--grace", "700ms") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            let start = SuspendingClock.now
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            #expect(start.age >= .milliseconds(700) && start.age < .seconds(3))
            try server.log.line(with: "killing", "children=1")
            try server.log.line(with: "child died", "KILL")
            peer.close()
        }
    }

    @Test("A second signal ends the server at once")
    func secondSignal() throws {
        try withServer("--grace", "60") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            server.process.kill(SIGTERM)
            try server.log.line(with: "draining")
            let start = SuspendingClock.now
            server.process.kill(SIGINT)
            #expect(try server.process.wait() == .status(0))
            #expect(start.age < .seconds(30), "the grace would take 60 s")
            peer.close()
        }
    }

    @Test("kill -9 of the parent leaves its children serving")
    func parentKilled() throws {
        try withServer("--timeout", "1") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            server.process.kill(SIGKILL)
            #expect(try server.process.wait() == .signal(SIGKILL))
            for id in UInt32(1)...3 {
                try peer.send(.request(id))
                _ = try peer.frames(upTo: .response)
            }
            try peer.send(.close())
            _ = try peer.frames(upTo: .close)
            #expect(eventually { [nil, "Z"].contains(ProcessFiles.state(of: child)) })
        }
    }

    @Test("7.6-1 Clients that are queued on the listener when the server ends get CLOSE(SHUTTING_DOWN)")
    func queued() throws {
        try withServer { server in
            kill(server.pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
            let peers = try (0..<20).map { _ in try server.connect() }
            for peer in peers { try peer.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes) }
            kill(server.pid, SIGTERM)
            kill(server.pid, SIGCONT)
            for peer in peers {
                try peer.takePreface()
                // One that was accepted before the signal was seen is served, and then sent away.
                let close = try peer.frames(upTo: .close).last?.notice
                #expect(close?.code == .shuttingDown)
                try peer.takeEnd()
                peer.close()
            }
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("7.1-3 The server reads on for those that it refuses at its end too, and leaves within a second and a slack")
    func lingersAtTheEnd() throws {
        try withServer { server in
            kill(server.pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
            let peer = try server.connect()
            kill(server.pid, SIGTERM)
            kill(server.pid, SIGCONT)
            try peer.takePreface()
            #expect(try peer.take(.close).notice?.code == .shuttingDown)
            let start = SuspendingClock.now
            // A reset would be the answer to bytes for a socket that is closed.
            while start.age < .milliseconds(300) {
                try peer.send([0])
                poll(nil, 0, 20)
            }
            #expect(try server.process.wait() == .status(0))
            #expect(start.age < .seconds(3))
        }
    }
}
