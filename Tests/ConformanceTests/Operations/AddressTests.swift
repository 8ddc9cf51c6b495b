import Glibc
import Testing
import RawWire

extension Live.Operations {
    /// Where the server listens: IPv4, IPv6, both, and Unix sockets.
    @Suite("Addresses") struct Addresses {}
}

let hasIPv6 =
    access("/proc/net/if_inet6", R_OK) == 0 && ProcessFiles.text("/proc/net/if_inet6")?.isEmpty == false

extension Live.Operations.Addresses {
    private func expectAnswer(_ peer: RawPeer) throws {
        try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
        try peer.takePreface()
        #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
    }

    @Test("--host ::1 serves IPv6, and the log shows such a peer", .enabled(if: hasIPv6))
    func version6() throws {
        try withServer("--host", "::1") { server in
            #expect(server.address.description.hasPrefix("[::1]:"))
            let peer = try server.connect()
            try expectAnswer(peer)
            try server.log.line(with: "closed", "[::1]:\(peer.localPort)")
        }
    }

    @Test("--host :: takes IPv6 and IPv4", .enabled(if: hasIPv6))
    func both() throws {
        try withServer("--host", "::") { server in
            try expectAnswer(.connect(to: .v6("::1", server.port)))
            let peer = try RawPeer.connect(to: .v4("127.0.0.1", server.port))
            try expectAnswer(peer)
            // An IPv4 peer is shown as one.
            try server.log.line(with: "closed", "127.0.0.1:\(peer.localPort)")
        }
    }

    @Test("--host 0.0.0.0 listens on every IPv4 address")
    func every() throws {
        try withServer("--host", "0.0.0.0") { server in
            try expectAnswer(.connect(to: .v4("127.0.0.1", server.port)))
            try expectAnswer(.connect(to: .v4("127.0.0.2", server.port)))
        }
    }

    // MARK: Unix sockets

    /// Calls `body` with a path for a socket in a directory of its own.
    private func withPath(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/lifeline-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw systemError("mkdtemp") }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(directory) }
        try body("\(directory)/socket")
        #expect(access("\(directory)/socket", F_OK) != 0, "the server takes its socket file with it")
        unlink("\(directory)/socket")
    }

    @Test("A Unix socket is served, with heartbeats and drops as on TCP")
    func unix() throws {
        try withPath { path in
            try withServer("--host", "unix:\(path)", "--timeout", "300ms") { server in
                #expect(server.address == .unix(path))
                try expectAnswer(server.connect())
                #expect(try server.open().takeClose().code == .silent)
            }
        }
    }

    @Test("The file of a server that was killed is replaced")
    func abandoned() throws {
        try withPath { path in
            let killed = try Spawned("server", ["--host", "unix:\(path)"])
            _ = try killed.output.line()
            killed.kill(SIGKILL)
            try killed.wait()
            #expect(access(path, F_OK) == 0)
            try withServer("--host", "unix:\(path)") { server in try expectAnswer(server.connect()) }
        }
    }

    @Test("A socket file in use is refused with status 69, and the server that has it goes on")
    func inUse() throws {
        try withPath { path in
            try withServer("--host", "unix:\(path)") { server in
                let second = try Spawned("server", ["--host", "unix:\(path)"])
                #expect(try second.wait() == .status(69))
                #expect(second.errors.textSoFar.contains(path))
                try expectAnswer(server.connect())
            }
        }
    }

    @Test("A file that is no socket is not touched")
    func foreignFile() throws {
        try withPath { path in
            let descriptor = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
            Glibc.write(descriptor, "precious", 8)
            close(descriptor)
            let server = try Spawned("server", ["--host", "unix:\(path)"])
            #expect(try server.wait() == .status(69))
            #expect(ProcessFiles.text(path) == "precious")
            unlink(path)
        }
    }
}
