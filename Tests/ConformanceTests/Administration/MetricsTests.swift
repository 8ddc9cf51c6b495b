import Glibc
import Testing
import RawWire

extension Live.Administration {
    /// What is counted, as Prometheus sees it.
    @Suite("Metrics") struct Metrics {}
}

extension Live.Administration.Metrics {
    private func withMetrics(_ arguments: String..., body: (ServerProcess, Scraper) throws -> Void) throws {
        try withServer(["--metrics", "127.0.0.1:0"] + arguments, prefix: ServerProcess.ownSession) { server in
            try body(server, Scraper(server))
        }
    }

    /// The samples once they say that `count` connections have ended.
    private func samples(_ scraper: Scraper, closed count: Double) throws -> [String: Double] {
        var all: [String: Double] = [:]
        let isSo = try eventually(within: .seconds(10)) {
            all = try scraper.samples()
            return all.sum("connections_closed_total") == count
        }
        guard isSo else { throw Unexpected("expected \(count) closed connections: \(all)") }
        return all
    }

    @Test("/metrics is served by GET and HEAD; anything else is 404, 405 or 400, and closed")
    func http() throws {
        try withMetrics { _, scraper throws in
            #expect(try scraper.samples()["connections_live"] == 0)
            #expect(try scraper.answer(to: "HEAD /metrics HTTP/1.0\r\n\r\n").hasSuffix("\r\n\r\n"))
            for (request, status) in [
                ("GET / HTTP/1.1\r\n\r\n", 404), ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
                ("LIFELINE\r\n\r\n", 400), ("GET /metrics HTTP/1.1\r\nX: " + String(repeating: "x", count: 9000), 431),
            ] {
                #expect(try scraper.answer(to: request).hasPrefix("HTTP/1.1 \(status) "))
            }
        }
    }

    @Test("What connections did is counted while they live and when they are gone, byte by byte")
    func counted() throws {
        try withMetrics { server, scraper in
            let peer = try server.open(.hello(options: RawFrame.name("a")))
            let other = try server.open()
            for id in 1...3 as ClosedRange<UInt32> {
                try peer.send(.request(id))
                _ = try peer.take(.response)
            }
            let isShown = try eventually { try scraper.samples().sum("requests_total") == 3 }
            #expect(isShown, "as long as they live")
            try peer.send(.close())
            _ = try peer.takeClose()
            peer.close()
            let all = try samples(scraper, closed: 1)
            #expect(all["connections_closed_total{reason=\"NORMAL\",by=\"client\"}"] == 1)
            #expect(all["connections_accepted_total"] == 2 && all["connections_live"] == 1)
            #expect(all.sum("requests_total") == 3 && all["requests_in_flight"] == 0)
            #expect(all["sent_bytes_total"] == Double(peer.received + other.received))
        }
    }

    @Test("5.5-1 A silent client is counted with how late it was dropped, and its round trip before that")
    func silent() throws {
        try withMetrics("--timeout", "0.5") { server, scraper in
            let peer = try server.open()
            try peer.send(.pong(to: peer.take(.ping)))
            #expect(try peer.takeClose().code == .silent)
            peer.close()
            let all = try samples(scraper, closed: 1)
            #expect(all["connections_closed_total{reason=\"SILENT\",by=\"server\"}"] == 1)
            #expect(all["round_trip_seconds_count"] == 1 && all["round_trip_seconds_bucket{le=\"+Inf\"}"] == 1)
            #expect(all["silent_drop_lateness_seconds_count"] == 1)
            let late = try #require(all["silent_drop_lateness_seconds_sum"])
            #expect(late >= 0 && late < 5)
        }
    }

    @Test("Messages that no handler was done with before the end are counted, in the line of the end too")
    func unhandled() throws {
        try withServer(["--metrics", "127.0.0.1:0", "--grace", "0.2"], command: "handlers") { server in
            let scraper = try Scraper(server)
            let peer = try server.open()
            try peer.send(.request(1, "sleep 60000"))
            try server.log.line(with: "handler: began 1")
            for _ in 0..<5 { try peer.send(.message(Array("m".utf8))) }
            try peer.send(.close())
            try peer.takeClose()
            peer.close()
            let closed = try server.log.line(with: " closed ")
            #expect(closed.contains(" unanswered=1 messages_in=5 unhandled=5 "), "\(closed)")
            let all = try samples(scraper, closed: 1)
            #expect(all["messages_received_total"] == 5 && all["messages_unhandled_total"] == 5)
            #expect(all["requests_total{outcome=\"unanswered\"}"] == 1)
        }
    }

    @Test("The parent's own figures have the names that Prometheus's libraries use")
    func process() throws {
        try withMetrics { server, scraper in
            let text = try scraper.answer(to: "GET /metrics HTTP/1.0\r\n\r\n")
            func value(_ name: String) throws -> Double {
                let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + " ") }
                return try #require(line.flatMap { Double($0.dropFirst(name.count + 1)) }, "\(name)")
            }
            #expect(try value("process_resident_memory_bytes") < value("process_virtual_memory_bytes"))
            #expect(try value("process_open_fds") >= 5 && value("process_open_fds") < value("process_max_fds"))
            #expect(try value("process_cpu_seconds_total") >= 0)
            #expect(abs(try value("process_start_time_seconds") - Double(time(nil))) < 60)
        }
    }

    @Test("Refusals are counted by their code")
    func refused() throws {
        try withMetrics("--max-connections", "1") { server, scraper in
            let first = try server.open()
            for _ in 0..<3 {
                let peer = try server.connect()
                try peer.takePreface()
                #expect(try peer.takeClose().code == .busy)
            }
            let all = try scraper.samples()
            #expect(
                all["connections_refused_total{reason=\"BUSY\",limit=\"max-connections\"}"] == 3
                    && all["connections_accepted_total"] == 1)
            first.close()
        }
    }

    @Test("Forks that failed are counted by errno", .enabled(if: Spawned.mayDropPrivileges))
    func forksFailed() throws {
        let user = Spawned.unprivileged(54323)
        try withServer(["--metrics", "127.0.0.1:0"], prefix: user) { server in
            let scraper = try Scraper(server)
            try Spawned.limit(server.pid, "--nproc=1:", prefix: user)
            let peer = try server.connect()
            try peer.takePreface()
            #expect(try peer.takeClose().code == .busy)
            let all = try scraper.samples()
            #expect(all["forks_failed_total{errno=\"EAGAIN\"}"] == 1 && all["connections_accepted_total"] == 0)
            #expect(
                all["connections_refused_total{reason=\"BUSY\",limit=\"processes\"}"] == 1
                    && all["connections_live"] == 0)
        }
    }

    @Test("In a storm of ends of every kind, accepted = live + closed at each look, and no counter ever falls")
    func balance() throws {
        try withMetrics("--timeout", "1") { server, scraper in
            var last: [String: Double] = [:]
            func look() throws {
                let now = try scraper.samples()
                let ended = now.sum("connections_closed_total")
                #expect(now["connections_accepted_total"] == now["connections_live"]! + ended, "\(now)")
                for (name, value) in last where name.contains("_total") || name.contains("_count") {
                    #expect(now[name]! >= value, "\(name) fell from \(value) to \(now[name]!)")
                }
                last = now
            }
            var answered = 0.0
            var peers: [RawPeer] = []
            for round in 0..<12 {
                for kind in 0..<5 {
                    let peer = try server.open()
                    peers.append(peer)
                    try peer.send(.request(1))
                    _ = try peer.take(.response)
                    answered += 1
                    switch kind {
                    case 0: try peer.send(.close())
                    case 1: try peer.send(.unknown(0x77, flags: 0))
                    case 2: peer.reset()
                    default: break  // Killed, or dropped for silence.
                    }
                }
                try look()
                // All have shown what they answered before any of them is killed.
                let isShown = try eventually { try scraper.samples().sum("requests_total") == answered }
                #expect(isShown)
                for child in server.children.prefix(round % 3) { kill(child, SIGKILL) }
                try look()
            }
            for child in server.children.prefix(3) { kill(child, SIGKILL) }
            try look()
            try server.waitForChildren(0, within: .seconds(40))
            let all = try samples(scraper, closed: 60)
            #expect(all["connections_accepted_total"] == 60 && all["connections_live"] == 0)
            #expect(all.sum("requests_total") == answered, "what a killed child had shown is not lost")
            // How many of the killed had begun to leave by themselves is a matter of chance.
            #expect(all["connections_closed_total{reason=\"DIED\",by=\"none\"}"]! >= 1)
            #expect(all["connections_closed_total{reason=\"PROTOCOL_ERROR\",by=\"server\"}"] != nil)
        }
    }

    @Test("A connection that SIGQUIT ends, of a program, is counted by the code that its client was told")
    func quit() throws {
        try withMetrics("--exec", "cat") { server, scraper in
            let peer = try server.open()
            kill(try server.onlyChild(), SIGQUIT)
            #expect(try peer.frames(upTo: .close).map(\.type) == [.goAway, .close])
            peer.close()
            let all = try samples(scraper, closed: 1)
            #expect(all["connections_closed_total{reason=\"SHUTTING_DOWN\",by=\"server\"}"] == 1)
        }
    }

    // MARK: Titles

    private func title(_ pid: pid_t) -> String {
        let bytes = ProcessFiles.text("/proc/\(pid)/cmdline") ?? ""
        return String(bytes.split(separator: "\0").joined(separator: " "))
    }

    @Test(
        "The title of a child says its peer and its state, whatever answers; that of the parent stays",
        arguments: [["--handler", "echo"], ["--exec", "cat"]])
    func titles(_ handler: [String]) throws {
        try withServer(handler) { server in
            let parent = title(server.pid)
            #expect(parent.hasSuffix(handler.joined(separator: " ")))
            let peer = try server.connect()
            let child = try server.onlyChild()
            func expect(_ state: String) {
                let expected = "lifeline: 127.0.0.1:\(peer.localPort) \(state)"
                #expect(eventually { title(child) == expected }, "'\(title(child))' is not '\(expected)'")
            }
            expect("greeting")
            try peer.send(RawFrame.preface + RawFrame.hello().bytes)
            expect("idle")
            try peer.send(.request(1, "a", more: true))
            expect("working")
            try peer.send(.request(1, "b"))
            expect("idle")
            try peer.send(.close())
            try peer.takePreface()
            try peer.takeClose()
            #expect(title(server.pid) == parent)
        }
        try withServer("--no-titles") { server in
            let peer = try server.open()
            #expect(try title(server.onlyChild()) == title(server.pid))
            peer.close()
        }
    }

    @Test("A title that is longer than the arguments takes the room of the environment")
    func shortTitle() throws {
        // Its arguments have eleven bytes then, and the title goes on where the environment was.
        try withServer(prefix: ["/bin/bash", "-c", "exec -a s \"$0\" \"$@\""]) { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            #expect(eventually { title(child) == "lifeline: 127.0.0.1:\(peer.localPort) idle" })
            peer.close()
        }
    }
}
