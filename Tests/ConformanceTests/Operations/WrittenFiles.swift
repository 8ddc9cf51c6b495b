import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// Files as people and editors write them. A new case is a line of a table.
    @Suite("Files that people write") struct WrittenFiles {}
}

extension Live.Operations.WrittenFiles {
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Token files in which `tok` is the token, and which each side reads.
    static let tokenFiles: [(String, [UInt8])] = [
        ("no line end", Array("tok".utf8)), ("CR LF", Array("tok\r\n".utf8)), ("CR", Array("tok\r".utf8)),
        ("trailing blanks", Array("tok \t \n".utf8)), ("a byte order mark", mark + Array("tok\n".utf8)),
        ("a byte order mark and CR LF", mark + Array("tok\r\n".utf8)),
        ("a comment", Array("# who\n\n tok alice\n".utf8)),
        ("a no-break space", Array("tok\u{A0}\n".utf8)),
    ]

    @Test("Server and client read the same token from the same file", arguments: tokenFiles)
    func token(_ name: String, _ bytes: [UInt8]) throws {
        let file = try TemporaryFile(bytes)
        try withServer("--token-file", file.path) { server in
            let client = try startClient(["--token-file", file.path, "hi"], port: server.port)
            try client.expectStatus(0)
            #expect(client.output.textSoFar == "hi\n")
        }
    }

    @Test(
        "A token file that holds no token of a client ends it with status 64 and the reason",
        arguments: [
            ("", "no token"), ("# a\n", "no token"), ("a\nb\n", "2 tokens"), ("a b c", "line 1: 3 words"),
            ("a\0b", "line 1: it has a zero byte"), ("\u{FEFF}\0", "zero byte"),
            (String(repeating: "t", count: 257), "257 bytes"),
        ])
    func noToken(_ text: String, _ reason: String) throws { try expectNoToken(text, reason) }

    // It is no argument of the test, which would print all of it.
    @Test("A token file that is too long is one of them")
    func longTokenFile() throws { try expectNoToken(String(repeating: "\n", count: 1 << 20 + 1), "1048576") }

    private func expectNoToken(_ text: String, _ reason: String) throws {
        let file = try TemporaryFile(Array(text.utf8))
        let client = try startClient(["--token-file", file.path, "hi"], port: 1)
        try client.expectStatus(64)
        #expect(client.errors.textSoFar.contains("--token-file: the token file '\(file.path)': "))
        #expect(client.errors.textSoFar.contains(reason), "\(client.errors.textSoFar)")
    }

    @Test("What stands in a file's place is named, and nothing waits for it", arguments: ["/tmp", "/dev/zero", "FIFO"])
    func noFile(_ place: String) throws {
        let fifo = try TemporaryFile()
        unlink(fifo.path)
        guard mkfifo(fifo.path, 0o600) == 0 else { throw systemError("mkfifo") }
        let path = place == "FIFO" ? fifo.path : place
        for (command, flag, status) in [
            ("client", "--token-file", [64]), ("server", "--token-file", [78]), ("server", "--config", [66, 78]),
        ] as [(String, String, [Int32])] {
            let process = try Spawned(command, [flag, path])
            let exit = try process.wait()
            #expect(status.contains { exit == .status($0) }, "\(command) \(flag): \(exit)")
            #expect(process.errors.textSoFar.contains(path))
        }
    }

    // MARK: Reload

    private func reload(_ server: ServerProcess, _ file: TemporaryFile, _ text: String) throws -> String {
        let before = lines(server).count
        try file.write(text)
        server.process.kill(SIGHUP)
        guard eventually({ lines(server).count > before }) else { throw Unexpected("nothing was reloaded") }
        return lines(server)[before]
    }

    private func lines(_ server: ServerProcess) -> [String] {
        server.log.linesSoFar.filter { $0.contains(" reloaded") }
    }

    private static let whole = """
        timeout 5
        allow 127.0.0.0/8
        deny 192.0.2.1
        deny 192.0.2.2
        max-rate 500

        """

    /// What the file becomes, and what the log says of it. The rules of `whole` hold before each.
    static let reloads: [(text: String, says: [String])] = [
        ("", ["error not reloaded", "is empty", "being written"]), ("\n \r\n", ["error not reloaded", "is empty"]),
        ("timeout 5\nallow 127.0.", ["error not reloaded", "cut off within a line"]),
        ("timeout 5\n", ["not reloaded", "lacks 'allow 127.0.0.0/8', 'deny 192.0.2.1'", "'allow all'"]),
        ("# nothing\n", ["not reloaded", "'max-rate none'"]),
        (
            "allow 127.0.0.0/8\ndeny 192.0.2.1\nmax-rate 500\n",
            ["not reloaded", "lacks 'deny 192.0.2.2'", "'deny none'"]
        ),
        ("allow 127.0.0.0/8\ndeny 192.0.2.0/24\n", ["not reloaded", "lacks 'max-rate 500'"]),
        ("deny 192.0.2.0/24\nmax-rate 500\n", ["not reloaded", "lacks 'allow 127.0.0.0/8'"]),
        ("allow 127.0.0.0/8\ndeny 192.0.2.0/24\nmax-rate 5", ["info reloaded"]),
        (
            "\u{FEFF}allow 127.0.0.1\r\nallow ::1\r\ndeny none\r\ndeny 192.0.2.1\r\nmax-rate none",
            [
                "info reloaded", "dropped=\"allow 127.0.0.0/8, deny 192.0.2.2, max-rate 500\"",
            ]
        ),
        (
            "allow all\ndeny none\nmax-rate none\nmax-per-source none\nmax-handshakes none\ntoken-file none\n",
            ["info reloaded dropped="]
        ),
    ]

    @Test("A reload drops a rule of admission only where the file says so, and says that it does")
    func reloads() throws {
        let whole = Live.Operations.WrittenFiles.whole
        let file = try TemporaryFile(Array(whole.utf8))
        try withServer("--config", file.path) { server in
            for (text, says) in Live.Operations.WrittenFiles.reloads {
                let line = try reload(server, file, text)
                #expect(says.allSatisfy { line.contains($0) }, "\(text): \(line)")
                if line.contains("info reloaded") {
                    #expect(try reload(server, file, "deny none\n" + whole).contains("info reloaded"))
                }
            }
        }
    }

    @Test("A configuration whose token file is emptied, cut off or not named any more is not reloaded")
    func tokens() throws {
        let tokens = try TemporaryFile(Array("secret alice\nother bob\n".utf8))
        chmod(tokens.path, 0o600)
        let text = "token-file \(tokens.path)\n"
        let file = try TemporaryFile(Array(text.utf8))
        try withServer("--config", file.path) { server in
            for (bytes, says) in [("", "no token"), ("secret alice\noth", "cut off within a line")] {
                try tokens.write(bytes)
                let line = try reload(server, file, text)
                #expect(line.contains("not reloaded") && line.contains(says), "\(line)")
            }
            #expect(try reload(server, file, "timeout 5\n").contains("lacks 'token-file \(tokens.path)'"))
            let refused = try server.connect()
            try refused.send(RawFrame.preface + RawFrame.hello().bytes)
            try refused.takePreface()
            #expect(try refused.take(.close).notice?.code == .unauthorized)
            refused.close()
            #expect(try reload(server, file, "token-file none\n").contains("dropped=\"token-file \(tokens.path)\""))
            try server.open().close()
        }
    }
}

extension TemporaryFile {
    /// Writes into the file as it is, as some editors do.
    fileprivate func write(_ text: String) throws {
        let descriptor = open(path, O_WRONLY | O_TRUNC)
        defer { close(descriptor) }
        guard descriptor >= 0, Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw systemError("write")
        }
    }
}
