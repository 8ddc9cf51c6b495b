import Foundation
import Testing
import RawWire

extension Live.Administration {
    /// The control socket, and the commands that ask there.
    @Suite("The control socket") struct Control {}
}

/// Runs `body` with a server that has a control socket.
func withOperator(
    _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (ServerProcess, Operator) throws -> Void
) throws {
    try withControl { control in
        try withServer(["--control", control] + arguments, sourceLocation: sourceLocation) { server in
            try body(server, Operator(control: control))
        }
        #expect(access(control, F_OK) != 0, "the socket's file is left", sourceLocation: sourceLocation)
    }
}

// MARK: What is shown

extension Live.Administration.Control {
    @Test("'server status' says who runs and ends with 0; where nobody does it ends with 3")
    func status() throws {
        try withControl { control in
            let user = Operator(control: control)
            #expect(try user.status(status: 3).contains("not running"))
            try withServer("--control", control) { server in
                let text = try user.status()
                #expect(text.contains("serving on \(server.address)") && text.contains("pid \(server.pid)"), "\(text)")
            }
            #expect(try user.status(status: 3).contains("not running"))
        }
    }

    @Test("'ctl status' tells what the server is and has done")
    func ctlStatus() throws {
        try withOperator("--max-connections", "7") { server, user in
            let peer = try server.open()
            try peer.send(.request(1), .close())
            _ = try peer.takeClose()
            try server.waitForChildren(0)
            let status = try #require(try user.json("status").first)
            #expect(status["pid"] as? Int32 == server.pid && status["state"] as? String == "serving")
            #expect(status["address"] as? String == "\(server.address)" && status["max_connections"] as? Int == 7)
            #expect(status["accepted"] as? Int == 1 && status["closed"] as? Int == 1 && status["requests"] as? Int == 1)
            #expect(status["bytes_out"] as? Int == peer.received)
            #expect(try user.ctl("status").contains("max_connections: 7\n"))
        }
    }

    @Test("'ctl connections' shows each: who it is, what it does, and what it has done")
    func connections() throws {
        try withOperator { server, user in
            #expect(try user.json("connections").isEmpty)
            let idle = try server.open(.hello(options: RawFrame.name("till 7")))
            try idle.send(.request(1))
            _ = try idle.take(.response)
            let working = try server.open()
            try working.send(.request(1, more: true))
            let greeting = try server.connect()
            let rows = try user.connections { rows in
                rows.map { $0["state"] as? String } == ["idle", "working", "greeting"]
                    && rows[0]["requests"] as? Int == 1 && rows[1]["in_flight"] as? Int == 1
            }
            #expect(rows.map { $0["id"] as? Int } == [1, 2, 3])
            #expect(Set(rows.compactMap { $0["pid"] as? pid_t }) == Set(server.children))
            let peers = [idle, working, greeting].map { "127.0.0.1:\($0.localPort)" }
            #expect(rows.map { $0["peer"] as? String } == peers)
            #expect(rows.map { $0["name"] as? String } == ["till 7", nil, nil])
            #expect(rows[0]["bytes_out"] as? Int == idle.received && rows[2]["bytes_in"] as? Int == 0)
            #expect(rows[2]["heard"] is NSNull && rows[0]["heard"] is Double && rows[0]["round_trip"] is NSNull)
            let ages = rows.compactMap { $0["age"] as? Double }
            #expect(ages == ages.sorted(by: >) && ages.allSatisfy { (0..<60).contains($0) })
            let table = try user.ctl("connections").split(separator: "\n")
            #expect(table.count == 4 && table[0].contains("PEER") && table[1].contains("till 7"))
        }
    }

    @Test("'ctl connections' sorts and filters")
    func sorted() throws {
        try withOperator { server, user in
            let peers = try ["a", "b", "c"].map { try server.open(.hello(options: RawFrame.name("till \($0)"))) }
            try peers[1].send(.request(1))
            _ = try peers[1].take(.response)
            _ = try user.connections { $0.count == 3 && $0[1]["requests"] as? Int == 1 }
            func ids(_ flag: String, _ value: String) throws -> [Int] {
                try user.json(flag, value, "connections").compactMap { $0["id"] as? Int }
            }
            #expect(try ids("--sort", "bytes") == [2, 1, 3])
            #expect(try ids("--sort", "age") == [1, 2, 3])
            #expect(try ids("--name", "till b") == [2])
            #expect(try ids("--peer", ":\(peers[2].localPort)") == [3])
            #expect(try ids("--state", "idle") == [1, 2, 3])
            #expect(try ids("--state", "working") == [])
            for wrong in [["--sort", "size"], ["--state", "happy"]] {
                #expect(try user.ctl(wrong[0], wrong[1], "connections", status: 64).contains("is not one of"))
            }
            for peer in peers { peer.close() }
        }
    }

    @Test("11-3 A name that a client chose cannot break the answer or command a terminal")
    func names() throws {
        try withOperator { server, user in
            let names = Live.Logging.Logs.names
            let peers = try names.map { try server.open(.hello(options: RawFrame.name($0))) }
            let rows = try user.json("connections").sorted { $0["id"] as? Int ?? 0 < $1["id"] as? Int ?? 0 }
            #expect(rows.map { $0["id"] as? Int } == Array(1...names.count))
            #expect(rows.map { $0["name"] as? String } == names.map { $0.isEmpty ? nil : $0 })
            let table = try user.ctl("connections")
            let categories = Set(table.replacing("\n", with: "").unicodeScalars.map(\.properties.generalCategory))
            #expect(categories.isDisjoint(with: [.control, .format, .lineSeparator, .paragraphSeparator]), "\(table)")
            #expect(table.split(separator: "\n").count == 1 + names.count)
            for peer in peers { peer.close() }
        }
    }

    @Test("A silent client's round trip is shown once it answers a PING")
    func roundTrip() throws {
        try withOperator("--timeout", "0.6") { server, user in
            let peer = try server.open()
            try peer.send(.pong(to: peer.take(.ping)))
            let rows = try user.connections { $0.isEmpty || $0[0]["round_trip"] is Double }
            #expect(rows.first?["round_trip"] is Double)
        }
    }
}

// MARK: What is ordered

extension Live.Administration.Control {
    @Test("'ctl drop ID' ends that connection with CLOSE(KICKED), and no other")
    func drop() throws {
        try withOperator { server, user in
            let peers = try (0..<3).map { _ in try server.open() }
            try peers[1].send(.request(1, more: true))
            #expect(try user.ctl("drop", "2").contains("127.0.0.1:\(peers[1].localPort)"))
            #expect(try peers[1].takeClose().code == .kicked)
            try server.log.line(with: " kicked ", "connection=2")
            try server.log.line(with: " closed ", "connection=2", "reason=KICKED", "by=server")
            for peer in [peers[0], peers[2]] {
                try peer.send(.request(1))
                #expect(try peer.take(.response).id == 1)
            }
            peers[1].close()
            try withExtendedLifetime(peers) { try server.waitForChildren(2) }
            #expect(try user.ctl("drop", "2", status: 69).contains("there is no connection 2"))
            // The place in shared memory is another connection's now, and the order is not for it.
            let next = try server.open()
            kill(try #require(try user.json("connections").last?["pid"] as? pid_t), SIGTERM)
            #expect(try next.takeClose().code == .shuttingDown)
        }
    }

    @Test("'ctl drop ID' ends a connection that has not said HELLO")
    func dropGreeting() throws {
        try withOperator { server, user in
            let peer = try server.connect()
            _ = try user.connections { $0.count == 1 }
            try user.ctl("drop", "1")
            try peer.takePreface()
            #expect(try peer.takeClose().code == .kicked)
        }
    }

    @Test("'ctl drain' ends the server as SIGTERM does, and a second one kills nothing")
    func drain() throws {
        try withControl { control in
            let user = Operator(control: control)
            let server = try ServerProcess(["--control", control])
            let peer = try server.open()
            #expect(try user.ctl("drain").contains("draining, 1 connection"))
            // Its child waits a second for the client's end, and the server for the child.
            #expect(try user.ctl("drain").contains("draining already"))
            #expect(try user.json("status").first?["state"] as? String == "draining")
            #expect(try peer.takeClose().code == .shuttingDown)
            peer.close()
            #expect(try server.process.wait() == .status(0))
            #expect(!server.log.textSoFar.contains("killing") && access(control, F_OK) != 0)
        }
    }

    @Test("'ctl drain' takes the time of --drain, in which 'ctl drop ID' still ends who was sent away, with KICKED")
    func dropInDrain() throws {
        try withOperator("--drain", "60", "--exec", "cat") { server, user in
            let peer = try server.open()
            #expect(try user.ctl("drain").contains("draining, 1 connection"))
            try server.log.line(with: " draining ", "over=60.000s")
            try user.ctl("drop", "1")
            #expect(try peer.frames(upTo: .close).last?.notice?.code == .kicked)
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("'ctl log-level' reaches the parent, new connections, and those that live")
    func logLevel() throws {
        try withOperator("--log-level", "error") { server, user in
            let living = try server.open()
            #expect(try user.ctl("log-level", "debug").contains("debug, and was error"))
            try server.log.line(with: " info log level ", "level=debug")
            try living.send(.close())
            _ = try living.takeClose()
            try server.log.line(with: " info closed ", "connection=1")
            let new = try server.open()
            try server.log.line(with: " debug opened ", "connection=2")
            try user.ctl("log-level", "error")
            try new.send(.unknown(0x77, flags: 0))
            _ = try new.takeClose()
            living.close()
            new.close()
            try server.waitForChildren(0)
            #expect(!server.log.linesSoFar.contains { $0.contains(" closed ") && $0.contains("connection=2") })
            #expect(try user.ctl("log-level", "loud", status: 64).contains("error, warning, info or debug"))
        }
    }

    @Test("'ctl penalties' shows who owes what, and 'ctl lift RANGE' forgives")
    func penalties() throws {
        try withOperator("--exempt", "192.0.2.1") { server, user in
            #expect(try user.ctl("penalties") == "penalties: 0\n")
            let peer = try server.connect()
            try peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            try peer.takePreface()
            try peer.takeClose()
            peer.close()
            try server.waitForChildren(0)
            let debt = try #require(try user.json("penalties").first)
            #expect(debt["source"] as? String == "127.0.0.1" && debt["refused"] as? Double == 0)
            let left = try #require(debt["left"] as? Double)
            #expect(left > 0 && left <= 10)
            #expect(try user.ctl("lift", "127.0.0.0/8") == "lifted: 1\n")
            try server.log.line(with: " penalties lifted ", "range=127.0.0.0/8")
            #expect(try user.ctl("penalties") == "penalties: 0\n")
        }
    }

    @Test("'ctl reload' does what SIGHUP does, and says what came of it")
    func reload() throws {
        let file = try TemporaryFile(Array("handler ack\nlog-level warning\n".utf8))
        try withOperator("--config", file.path) { server, user in
            try file.replace("handler echo\nlog-level debug\n")
            #expect(try user.ctl("reload") == "reloaded\n")
            try server.log.line(with: " reloaded")
            let peer = try server.open()
            try server.log.line(with: " debug opened ")
            peer.close()
            try file.replace("handler echo\nbacklog 9\nmetrics 127.0.0.1:1\n")
            #expect(try user.ctl("reload") == "reloaded\na restart alone changes --backlog,--metrics\n")
            try file.replace("handler echo\ntimeout soon\n")
            #expect(try user.ctl("reload", status: 69).contains("\(file.path):2: timeout: 'soon'"))
        }
    }

    @Test("What the server does not have is refused with a reason, and an unknown command with a list")
    func others() throws {
        try withOperator { server, user throws in
            #expect(try user.ctl("lift", "nowhere", status: 64).contains("nowhere"))
            #expect(try user.ctl("quark", status: 64).contains("drop ID"))
            #expect(try user.ctl(status: 64).contains("a command is missing"))
        }
    }
}
