import Glibc
import RawWire
import Testing

import let Posix.isSanitized

extension Live.Children {
    /// `server --connections-per-process`: the event loop of a process with several connections.
    @Suite("Shared processes") struct SharedProcesses {}
}

extension Live.Children.SharedProcesses {
    private static let shared = ["--connections-per-process", "100"]

    private func title(of child: pid_t) -> String {
        ProcessFiles.text("/proc/\(child)/cmdline")?.split(separator: "\0").first.map(String.init) ?? ""
    }

    private func echo(_ peer: RawPeer, _ id: UInt32, _ text: String = "hello") throws {
        try peer.send(.request(id, text))
        let frame = try peer.take(.response)
        #expect(frame.id == id && frame.text == text)
    }

    @Test(
        "Many connections in one process: each has its own answers and its own end, and the title says how many there are"
    )
    func many() throws {
        try withServer(Self.shared + ["--handler", "count"]) { server in
            let peers = try (0..<60).map { _ in try server.open() }
            let child = try server.onlyChild()
            #expect(eventually { title(of: child) == "lifeline: 60 connections" })
            for round in 0..<3 {
                for peer in peers { try peer.send(.request(UInt32(round + 1))) }
                for peer in peers { #expect(try peer.take(.response).text == "This is server send message:\(round)") }
            }
            for peer in peers.dropLast() {
                try peer.send(.close())
                _ = try peer.takeClose()
                peer.close()
            }
            #expect(eventually { title(of: child) == "lifeline: 1 connection" })
            try peers[59].send(.request(4))
            #expect(try peers[59].take(.response).text == "This is server send message:3")
            peers[59].close()
            #expect(eventually { title(of: child) == "lifeline: waiting" })
            try server.log.line(with: "closed connection=1 ", "pid=\(child)", "requests=3")
        }
    }

    @Test("A connection that is over leaves no descriptor in the process")
    func descriptors() throws {
        try withServer(Self.shared) { server in
            let first = try server.open()
            let child = try server.onlyChild()
            let before = ProcessFiles.descriptors(of: child).count
            for round in 1...5 {
                let peers = try (0..<20).map { _ in try server.open() }
                for (index, peer) in peers.enumerated() {
                    switch (index + round) % 4 {
                    case 0: peer.reset()
                    case 1: try peer.send(.close())
                    case 2: try peer.send(Array("no frame at all, but text".utf8))
                    default: break
                    }
                    peer.close()
                }
                #expect(eventually { ProcessFiles.descriptors(of: child).count == before }, "round \(round)")
            }
            try echo(first, 1)
            first.close()
        }
    }

    @Test("An operator's drop reaches one connection, and no other of its process")
    func drop() throws {
        try withControl { control in
            try withServer(Self.shared + ["--control", control]) { server in
                let peers = try (0..<5).map { _ in try server.open() }
                try Operator(control: control).ctl("drop", "3")
                #expect(try peers[2].takeClose().code == .kicked)
                for (index, peer) in peers.enumerated() where index != 2 { try echo(peer, 1) }
                for peer in peers { peer.close() }
            }
        }
    }

    @Test("A drain sends every client away, and each goes in its own time")
    func drain() throws {
        try withControl { control in
            try withServer(Self.shared + ["--control", control, "--drain", "5"]) { server in
                let peers = try (0..<20).map { _ in try server.open() }
                server.process.kill(SIGTERM)
                var left = peers
                while !left.isEmpty {
                    let index = try left.firstIndex { try $0.read(until: .now + .milliseconds(5)) }
                    guard let index else { continue }
                    let peer = left.remove(at: index)
                    _ = try peer.take(.goAway)
                    try echo(peer, 1)
                    try peer.send(.close())
                    _ = try peer.takeClose()
                    peer.close()
                }
                #expect(try server.process.wait(within: .seconds(10)) == .status(0))
            }
        }
    }

    // MARK: Fairness

    @Test("A client that does not read costs others nothing, and its process little memory")
    func slowReader() throws {
        try withServer(Self.shared + ["--timeout", "60"]) { server in
            let slow = try server.open(receiveBuffer: 4096)
            let other = try server.open()
            let child = try server.onlyChild()
            let before = try #require(ProcessFiles.anonymousMemory(of: child))
            // The kernel holds some of the answers, and the process the others.
            for id in 1...40 {
                var rest = RawFrame.request(UInt32(id), [UInt8](repeating: 0x78, count: 16000)).bytes[...]
                let isSent = try eventually {
                    rest = rest.dropFirst(try slow.push(rest))
                    return rest.isEmpty
                }
                #expect(isSent)
            }
            for id in 1...20 { try echo(other, UInt32(id)) }
            let after = try #require(ProcessFiles.anonymousMemory(of: child))
            #expect(after - before < 8 << 20, "\(before) bytes, then \(after)")
            other.close()
            slow.reset()
            slow.close()
        }
    }

    @Test("One that sends as fast as it may delays others by milliseconds")
    func fastSender() throws {
        try withServer(Self.shared + ["--timeout", "60"]) { server in
            let sender = try server.open()
            let other = try server.open()
            let answer = RawFrame.headerLength + 1000
            let alone = try (1...50).map { id in
                let begun = SuspendingClock.now
                try echo(other, UInt32(id))
                return SuspendingClock.now - begun
            }.sorted()
            var (sent, received) = (0, 0)
            var bytes: ArraySlice<UInt8> = []
            var times: [Duration] = []
            var askedAt: Moment?
            let end = SuspendingClock.now + .seconds(2)
            while SuspendingClock.now < end {
                if bytes.isEmpty, sent - received / answer < 32 {
                    let frames = (1...32).flatMap {
                        RawFrame.request(UInt32(sent + $0), [UInt8](repeating: 0x79, count: 1000)).bytes
                    }
                    bytes = frames[...]
                    sent += 32
                }
                if !bytes.isEmpty { bytes = bytes.dropFirst(try sender.push(bytes)) }
                _ = try sender.read(until: .now)
                received += try sender.take(sender.unread.count).count
                guard let begun = askedAt else {
                    try other.send(.request(UInt32(alone.count + times.count + 1)))
                    askedAt = .now
                    continue
                }
                _ = try other.read(until: .now)
                guard !other.unread.isEmpty else { continue }
                _ = try other.take(.response)
                times.append(SuspendingClock.now - begun)
                askedAt = nil
            }
            times.sort()
            #expect(received > 1000 * answer && times.count > 50, "\(received) bytes, \(times.count) answers")
            // The client's own turns are longer too, and with all other lanes beside them even alone it takes milliseconds.
            let most = max(.milliseconds(10), alone[alone.count / 2] * 20)
            #expect(times[times.count / 2] < most, "\(times), alone \(alone)")
            sender.close()
            other.close()
        }
    }

    // MARK: Crashes

    @Test(
        "A handler that crashes: every client of its process hears of it, with its own last request, and the log names one",
        .disabled(if: isSanitized), arguments: [[], ["--at-once"]], [("null 8", "SIGSEGV"), ("trap", "SIGILL")])
    func crash(_ flags: [String], _ fault: (command: String, signal: String)) throws {
        try withServer(["--connections-per-process", "5"] + flags, command: "handlers") { server in
            let peers = try (0..<6).map { _ in try server.open() }
            for (index, peer) in peers.enumerated() {
                for id in 1..<(index + 2) {
                    try peer.send(.request(UInt32(id), "x"))
                    #expect(try peer.take(.response).id == UInt32(id))
                }
            }
            try peers[2].send(.request(4, fault.command))
            for (index, peer) in peers.prefix(5).enumerated() {
                let close = try peer.takeClose()
                let lastID = UInt32(index == 2 ? 4 : index + 1)
                #expect(close.code == .handlerFailed && close.lastID == lastID, "\(index): \(close)")
                peer.close()
            }
            try server.log.line(with: "child died", "signal=\(fault.signal)", "connection=3")
            // The connection of another process.
            try peers[5].send(.request(7, "x"))
            #expect(try peers[5].take(.response).id == 7)
            let again = try server.open()
            try again.send(.request(1, "x"))
            #expect(try again.take(.response).id == 1)
            again.close()
            peers[5].close()
        }
    }

    @Test("A handler that does not come back costs its connection alone, and its process gets no others")
    func stuck() throws {
        try withServer(Self.shared + ["--handler-timeout", "0.1"], command: "handlers") { server in
            let other = try server.open()
            let peer = try server.open()
            let child = try server.onlyChild()
            try peer.send(.request(1, "spin"))
            #expect(try peer.takeFrame().notice?.code == .handlerFailed)
            #expect(try peer.takeClose().code == .handlerFailed)
            peer.close()
            for id in 1...10 { try echo(other, UInt32(id)) }
            try server.log.line(with: "closed connection=2 ", "reason=HANDLER_FAILED")
            // Where others follow, it leaves with its last one.
            other.close()
            #expect(eventually { hasGone(child) })
        }
    }

    // MARK: Signals

    @Test("SIGTERM of a process: its clients are answered and closed, and the others stay")
    func terminate() throws {
        try withServer(["--connections-per-process", "3"], command: "handlers") { server in
            let peers = try (0..<4).map { _ in try server.open() }
            let child = try #require(server.children.min())
            try peers[0].send(.request(1, "sleep 200"))
            try server.log.line(with: "handler: began 1")
            kill(child, SIGTERM)
            let frames = try peers[0].frames(upTo: .close)
            #expect(frames.contains { $0.type == .response && $0.id == 1 })
            for peer in peers[..<3] {
                if peer !== peers[0] { #expect(try peer.frames(upTo: .close).last?.notice?.code == .shuttingDown) }
                peer.close()
            }
            #expect(eventually { hasGone(child) })
            try echo(peers[3], 1)
            let again = try server.open()
            try echo(again, 1)
            again.close()
            peers[3].close()
        }
    }

    @Test("SIGQUIT of a process, or of the parent: every client hears it at once, whatever is unanswered")
    func quit() throws {
        try withServer(Self.shared, command: "handlers") { server in
            for ofParent in [false, true] {
                let peers = try (0..<10).map { _ in try server.open() }
                let child = try #require(server.children.max())
                try peers[0].send(.request(1, "wait 60000"))
                try server.log.line(with: "handler: began 1")
                kill(ofParent ? server.pid : child, SIGQUIT)
                for peer in peers {
                    #expect(try peer.frames(upTo: .close).last?.notice?.code == .shuttingDown)
                    peer.close()
                }
                #expect(eventually { hasGone(child) })
            }
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("When the parent is killed, clients are served on, and the process leaves with its last one")
    func orphaned() throws {
        try withServer(Self.shared) { server in
            let peers = try (0..<3).map { _ in try server.open() }
            let child = try server.onlyChild()
            server.process.kill(SIGKILL)
            _ = try server.process.wait()
            for peer in peers { try echo(peer, 1) }
            for peer in peers { peer.close() }
            #expect(eventually { hasGone(child) })
        }
    }

    @Test("A process without descriptors for those that come loses these alone, and each is counted and logged")
    func files() throws {
        try withServer(Self.shared + ["--metrics", "127.0.0.1:0"]) { server in
            let scraper = try Scraper(server)
            let first = try server.open()
            let child = try server.onlyChild()
            let used = ProcessFiles.descriptors(of: child)
            let lowestFree = try #require((0...).first { used[$0] == nil })
            try Spawned.limit(child, "--nofile=\(lowestFree):")
            let lost = try server.connect()
            try lost.send(RawFrame.preface + RawFrame.hello().bytes)
            while lost.ending == nil, try lost.read(until: .now + RawPeer.patience) {}
            lost.close()
            try server.log.line(with: "closed connection=2 ", "LOST")
            try Spawned.limit(child, "--nofile=100:")
            let next = try server.open()
            try echo(first, 1)
            try echo(next, 1)
            first.close()
            next.close()
            #expect(eventually { (try? scraper.samples().sum("connections_closed_total")) == 3 })
        }
    }
}
