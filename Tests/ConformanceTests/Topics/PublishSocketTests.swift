import Glibc
import RawWire
import Testing

extension Live.Topics {
    /// The socket that back-ends connect to, whatever they say there.
    @Suite("The publish socket") struct PublishSocket {}
}

/// Something that is no command, so that it is answered whether or not there is a router.
private func expectWords(from backEnd: BackEnd, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let (code, text) = try backEnd.failure(of: "quark")
    #expect(code == .handlerFailed, sourceLocation: sourceLocation)
    #expect(text.hasPrefix("BAD_COMMAND: 'quark' is no command: expected publish,"), sourceLocation: sourceLocation)
}

extension Live.Topics.PublishSocket {
    @Test(
        "A back-end reaches its own handler, in every kind of process and whatever answers clients",
        arguments: [
            [], ["--pool", "2"], ["--pool", "2", "--pool-reuse", "9"], ["--connections-per-process", "4"],
            ["--exec", "cat"], ["--handler-timeout", "0.1", "--max-idle", "0.1"],
        ])
    func kinds(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let backEnd = try places.open()
            try expectWords(from: backEnd)
            try expectWords(from: backEnd)
            try backEnd.peer.send(.close())
            #expect(try backEnd.peer.takeClose().code == .normal)
        }
    }

    @Test("No token, proxy, address or limit of clients is asked of a back-end, and it takes no client's place")
    func limits() throws {
        let tokens = try TemporaryFile(Array("secret\n".utf8))
        let arguments = [
            "--token-file", tokens.path, "--proxy-from", "10.0.0.0/8", "--proxy-from", "unix", "--listen",
            "unix:\(tokens.path).socket", "--max-connections", "1", "--max-rate", "1", "--max-handshakes", "1",
        ]
        // A proxy of Unix sockets needs one to come by.
        try withPublishing(arguments + ["--host", "127.0.0.1"]) { server, places in
            let all = try (0..<3).map { _ in try places.open() }
            for backEnd in all { try expectWords(from: backEnd) }
            let status = try #require(try places.user.json("status").first)
            #expect(status["connections"] as? Int == 3 && status["refused"] as? Int == 0)
            for backEnd in all {
                try backEnd.peer.send(.close())
                #expect(try backEnd.peer.takeClose().code == .normal)
            }
        }
        try withPublishing(["--max-connections", "1"]) { server, places in
            let backEnd = try places.open()
            let client = try server.open()
            let second = try server.connect()
            try second.takePreface()
            #expect(try second.takeClose().code == .busy, "the limit is that of clients")
            client.close()
            backEnd.peer.close()
            try server.waitForChildren(0)
            _ = try server.open()
        }
    }

    @Test(
        "Beyond 64 back-ends another is told that the server is busy, until one has gone",
        arguments: [[], ["--connections-per-process", "100"]])
    func most(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let all = try (0..<64).map { _ in try places.open() }
            let next = try RawPeer.connect(to: .unix(places.socket))
            try next.takePreface()
            let close = try next.takeClose()
            #expect(close.code == .busy && String(decoding: close.text, as: UTF8.self).contains("back-ends"))
            try server.log.line(with: "refused", "reason=BUSY", "limit=back-ends")
            #expect(try places.user.ctl("topics", status: 69).contains("64 back-ends are connected"))
            _ = try server.open()
            all[0].peer.close()
            let isFree = eventually {
                guard let backEnd = try? places.open() else { return false }
                backEnd.peer.close()
                return true
            }
            #expect(isFree)
        }
    }

    @Test("Its user and group may connect, nothing but back-ends comes by it, and no line names it as a listener")
    func file() throws {
        try withPublishing { server, places in
            var status = stat()
            #expect(stat(places.socket, &status) == 0 && status.st_mode & 0o777 == 0o660)
            try server.log.line(with: " listening ", "address=\(server.address) ", " publish=\(places.socket)")
            #expect(!server.process.output.textSoFar.contains("unix:"))
            let told = try #require(try places.user.json("status").first)
            #expect(told["address"] as? String == "\(server.address)")
        }
    }

    @Test(
        "With --user the socket is that user's and group's", .enabled(if: Spawned.mayDropPrivileges && geteuid() == 0))
    func ofUser() throws {
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o777)
        let path = directory.file("publish")
        try withServer("--topics", "--publish-socket", path, "--user", "54321", "--group", "54322") { _ in
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_uid == 54321 && status.st_gid == 54322)
            #expect(status.st_mode & 0o777 == 0o660)
            let backEnd = try BackEnd(try RawPeer.connect(to: .unix(path)))
            try expectWords(from: backEnd)
            backEnd.peer.close()
        }
    }

    @Test("A file that a killed server has left is replaced; one that is used, or no socket, is left alone")
    func stale() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("publish")
        let killed = try ServerProcess(["--topics", "--publish-socket", path])
        killed.process.kill(SIGKILL)
        try killed.process.wait()
        #expect(access(path, F_OK) == 0)
        try withServer("--topics", "--publish-socket", path) { _ in
            let second = try Spawned("server", ["--port", "0", "--topics", "--publish-socket", path])
            #expect(try second.wait() == .status(69))
            #expect(second.errors.textSoFar.contains("unix:\(path)"))
            let backEnd = try BackEnd(try RawPeer.connect(to: .unix(path)))
            try expectWords(from: backEnd)
            backEnd.peer.close()
        }
        #expect(access(path, F_OK) != 0)
        try directory.write("publish", "")
        let third = try Spawned("server", ["--port", "0", "--topics", "--publish-socket", path])
        #expect(try third.wait() == .status(69))
        #expect(directory.names == ["publish"])
    }

    @Test("A start that fails leaves no socket behind, and a publish socket needs topics")
    func failedStart() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("publish")
        let arguments = ["--port", "0", "--topics", "--publish-socket", path]
        let failed = try Spawned("server", arguments + ["--metrics", "256.0.0.1:0"])
        #expect(try failed.wait() == .status(64))
        let noPath = try Spawned("server", ["--port", "0", "--topics", "--publish-socket", ""])
        #expect(try noPath.wait() == .status(64))
        #expect(noPath.errors.textSoFar.contains("--publish-socket '' is not the path of a Unix socket"))
        let withoutTopics = try Spawned("server", ["--port", "0", "--publish-socket", path])
        #expect(try withoutTopics.wait() == .status(64))
        #expect(withoutTopics.errors.textSoFar.contains("--publish-socket needs --topics"))
        #expect(directory.names == [])
    }

    @Test("A shutdown sends back-ends away, and those that come too late")
    func shutdown() throws {
        try withPublishing(["--drain", "1"]) { server, places in
            let backEnd = try places.open()
            try expectWords(from: backEnd)
            server.process.kill(SIGTERM)
            #expect(try backEnd.peer.take(.goAway).notice?.code == .shuttingDown)
            try backEnd.peer.send(.close())
            _ = try backEnd.peer.takeClose()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("A message that is no command is said in the log, and the connection goes on")
    func messages() throws {
        try withPublishing(["--log-level", "debug"]) { server, places in
            let backEnd = try places.open()
            try backEnd.peer.send(.message("topics"))
            try server.log.line(with: "not published", "a one-way message is publish or send")
            try backEnd.peer.send(.message("publish a*"))
            try server.log.line(with: "not published", "no wildcards")
            try expectWords(from: backEnd)
            backEnd.peer.close()
        }
    }
}

// MARK: By the control socket

extension Live.Topics.PublishSocket {
    @Test("Without topics ctl says how to start the server")
    func noTopics() throws {
        try withOperator { _, user in
            for words in [["topics"], ["publish", "a", "b"], ["online", "--all"]] {
                let said = try user.words(words, status: 69)
                #expect(said.contains("the server has no topics: start it with --topics"), "\(said)")
            }
        }
    }

    @Test(
        "A connection of the control socket becomes that of a back-end behind the verdict",
        arguments: [[], ["--pool", "1"], ["--connections-per-process", "4"]])
    func handOver(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let peer = try RawPeer.connect(to: .unix(places.control))
            // The line may come in pieces; what follows the verdict is a back-end's, byte for byte.
            try peer.send(Array("lifeline 1 pu".utf8))
            try peer.send(Array("sh\n".utf8))
            let verdict = "{\"lifeline\":1,\"ok\":true}\n"
            #expect(String(decoding: try peer.take(verdict.utf8.count), as: UTF8.self) == verdict)
            let backEnd = try BackEnd(peer)
            try expectWords(from: backEnd)
            #expect(try places.user.json("connections").count == 1)
            try peer.send(.close())
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("Who sends more before the verdict is refused, so that nothing is lost")
    func early() throws {
        try withPublishing { _, places in
            let peer = try RawPeer.connect(to: .unix(places.control))
            try peer.send(Array("lifeline 1 push\n".utf8) + RawFrame.preface)
            let line = try peer.take(30)
            #expect(String(decoding: line, as: UTF8.self).hasPrefix("{\"lifeline\":1,\"ok\":false,\"erro"))
        }
    }
}

extension Operator {
    /// Runs `server ctl` with these words to its end.
    @discardableResult
    func words(_ words: [String], status: Int32 = 0, input: String? = nil) throws -> String {
        let command = try Spawned(
            "server", ["ctl", "--control", control] + words, input: input == nil ? .null : .pipe)
        if let input {
            try command.write(input)
            command.closeInput()
        }
        let exit = try command.wait(within: .seconds(20))
        _ = command.output.waitForEnd()
        _ = command.errors.waitForEnd()
        let said = command.output.textSoFar + command.errors.textSoFar
        guard exit == .status(status) else { throw Unexpected("\(words) ended with \(exit): \(said)") }
        return said
    }
}
