import Glibc
import RawWire
import Testing

/// What the first of two servers does in place of serving.
private enum FirstServer: String, CaseIterable, CustomTestStringConvertible {
    case refuses, isMute, closes, resets, speaksHTTP, speaksTLS, isBusy, isShuttingDown, isUnauthorized

    var testDescription: String { rawValue }

    /// Does it to one client.
    func act(on listener: RawListener) throws {
        let notice: RawFrame
        switch self {
        case .refuses, .isMute: return
        case .closes: return try listener.accept().close()
        case .resets: return try listener.accept().reset()
        case .speaksHTTP:
            return try say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".utf8.map { $0 }, on: listener)
        case .speaksTLS: return try say([0x15, 3, 3, 0, 2, 2, 0x46], on: listener)
        case .isBusy: notice = .close(.busy, retryAfter: 60_000, "full")
        case .isShuttingDown: notice = .close(.shuttingDown, retryAfter: 60_000, "bye")
        case .isUnauthorized: notice = .close(.unauthorized, "who are you")
        }
        try say(RawFrame.preface + notice.bytes, on: listener)
    }

    private func say(_ bytes: [UInt8], on listener: RawListener) throws {
        let peer = try listener.accept()
        try peer.send(bytes)
        peer.shutdownWriting()
        try peer.readToEnd()
    }
}

extension Live.Client {
    /// Clients that live for days: servers that go away, come late, and stand in for each other.
    @Suite("Client: for days") struct ClientForDays {
        /// The built client, with standard output and standard error.
        private func withClient(
            _ arguments: [String], prefix: [String] = [], input: Spawned.Stream = .null,
            _ body: (Spawned) throws -> Void
        ) throws {
            let client = try Spawned("client", arguments, prefix: prefix, input: input)
            try tellingErrors(of: client) { try body(client) }
        }

        @Test("The next server is tried up to WELCOME", arguments: FirstServer.allCases)
        fileprivate func nextServer(first: FirstServer) throws {
            try withServer { server in
                let mode = [.isMute, .resets, .speaksTLS, .isBusy].contains(first) ? "short" : "long"
                let listener = try RawListener()
                if first == .refuses { listener.close() }
                let hosts = "127.0.0.1:\(listener.address.port ?? 0),127.0.0.1:\(server.port)"
                // A mute server has its share of the time.
                try withClient(["--mode", mode, "--timeout", "600ms", "--host", hosts, "x"]) { client in
                    try first.act(on: listener)
                    #expect(try client.output.line() == "x")
                    try client.expectStatus(0)
                }
            }
        }

        @Test("All servers fail: each was tried once, and the status is that of the last")
        func noServer() throws {
            let busy = try RawListener()
            let closed = try RawListener()
            closed.close()
            let arguments = [
                "--host", "127.0.0.1:\(busy.address.port ?? 0)", "--host", "unix:/nowhere/at/all", "--host",
                "[::1]:\(closed.address.port ?? 0)", "--retries", "0", "--timeout", "3", "x",
            ]
            try withClient(arguments) { client in
                try FirstServer.isBusy.act(on: busy)
                try client.expectStatus(69)
                try client.errors.line(with: "BUSY", "trying the next server")
                try client.errors.line(with: "unix:/nowhere", "trying the next server")
                #expect(try busy.acceptIfAny(within: .zero) == nil)
            }
        }

        @Test(
            "A name with several addresses: the next one is tried up to WELCOME", .enabled(if: MountedHosts.canBeMade))
        func nextAddress() throws {
            let name = try MountedHosts(["127.0.0.1", "127.0.0.2"])
            for (first, mode) in [
                (FirstServer.isMute, "short"), (.closes, "long"), (.speaksHTTP, "short"), (.isBusy, "long"),
                (.isShuttingDown, "short"), (.refuses, "long"),
            ] {
                let listener = try RawListener()
                if first == .refuses { listener.close() }
                let port = "\(listener.address.port ?? 0)"
                // The flag that comes last counts.
                try withServer("--host", "127.0.0.2", "--port", port) { server in
                    let arguments = ["--mode", mode, "--timeout", "600ms", "--host", name.name, "--port", port, "x"]
                    try withClient(arguments, prefix: name.prefix) { client in
                        try first.act(on: listener)
                        #expect(try client.output.line() == "x")
                        try client.expectStatus(0)
                    }
                }
            }
        }

        @Test(
            "A mute address is waited for once, and comes last for the next message",
            .enabled(if: MountedHosts.canBeMade))
        func avoidedAddress() throws {
            let name = try MountedHosts(["127.0.0.1", "127.0.0.2"])
            let mute = try RawListener()
            let port = "\(mute.address.port ?? 0)"
            try withServer("--host", "127.0.0.2", "--port", port) { server in
                let arguments = [
                    "--mode", "short", "--timeout", "1", "--host", name.name, "--port", port, "a", "b", "c",
                ]
                try withClient(arguments, prefix: name.prefix) { client in
                    for message in ["a", "b", "c"] { #expect(try client.output.line() == message) }
                    try client.expectStatus(0)
                    #expect(try mute.acceptIfAny(within: .zero) != nil)
                    #expect(try mute.acceptIfAny(within: .zero) == nil)
                }
            }
        }

        @Test("--wait: a server that is not there yet is waited for", arguments: ["long", "short"])
        func waitForServer(mode: String) throws {
            let directory = try TemporaryDirectory()
            let path = "unix:" + directory.file("socket")
            try withClient(["--mode", mode, "--wait", "20", "--host", path, "x"]) { client in
                // It has tried before the server begins: the first attempt is made at once.
                if mode == "long" { try client.errors.line(with: "No such file", "connecting again") }
                let server = try Spawned("server", ["--host", path])
                try tellingErrors(of: server) {
                    #expect(try client.output.line() == "x")
                    try client.expectStatus(0)
                    server.kill(SIGTERM)
                    try server.expectStatus(0)
                }
            }
        }

        @Test("--wait: what a server says and does while it starts is waited out", arguments: ["long", "short"])
        func waitForReadiness(mode: String) throws {
            let listener = try RawListener()
            let arguments = ["--mode", mode, "--wait", "20", "--port", "\(listener.address.port ?? 0)", "x"]
            try withClient(arguments) { client in
                let busy = try listener.accept()
                try busy.takeHello()
                try busy.send(RawFrame.preface + RawFrame.close(.busy, retryAfter: 20, "not yet").bytes)
                busy.shutdownWriting()
                try busy.readToEnd()
                // A proxy accepts before its server is there. A request that it got would be UNKNOWN.
                let proxy = try listener.accept()
                try proxy.takeHello()
                proxy.reset()
                let peer = try listener.accept()
                try peer.greet()
                let request = try peer.takeRequest()
                try peer.send(.response(request.id, request.payload))
                if mode == "short" {
                    try peer.send(.close(lastID: 1))
                    peer.close()
                } else {
                    try peer.seeOff(lastID: 1)
                }
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "x\n")
            }
        }

        @Test(
            "--wait ends, with the status of what is still wrong",
            arguments: [
                ("127.0.0.1:1", Int32(69)), ("unix:/nowhere/at/all", 69), ("no-such-host.invalid", 68),
            ])
        func waitEnds(host: String, status: Int32) throws {
            let begun = SuspendingClock.now
            let mode = host.hasPrefix("unix") ? "short" : "long"
            try withClient(["--mode", mode, "--wait", "300ms", "--host", host, "x"]) { client in
                try client.expectStatus(status)
                #expect(begun.age >= .milliseconds(100))
            }
        }

        @Test("A message waits for the server for longer than --timeout, and is not lost")
        func outage() throws {
            let listener = try RawListener()
            let port = listener.address.port ?? 0
            try withClient(["--port", "\(port)", "--timeout", "300ms"], input: .pipe) { client in
                let peer = try listener.accept()
                try peer.greet()
                try client.write("one\n")
                try peer.echo()
                listener.close()
                peer.reset()
                try client.errors.line(with: "connection lost")
                let lost = SuspendingClock.now
                try client.write("two\n")
                try client.errors.line(with: "attempt 3")
                _ = eventually { lost.age > .milliseconds(400) }
                let next = try RawListener(port: port)
                let again = try next.accept()
                try again.greet()
                try again.echo()
                client.closeInput()
                try again.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "one\ntwo\n")
            }
        }

        @Test("--reconnect-for is the limit of an outage; 0 allows none", arguments: [("0", false), ("200ms", true)])
        func outageLimit(limit: String, isTried: Bool) throws {
            let listener = try RawListener()
            try withClient(
                ["--port", "\(listener.address.port ?? 0)", "--reconnect-for", limit, "--hold", "20", "x"]
            ) { client in
                let peer = try listener.accept()
                try peer.greet()
                try peer.echo()
                listener.close()
                peer.reset()
                try client.expectStatus(isTried ? 69 : 75)
                #expect(client.errors.textSoFar.contains("connecting again") == isTried)
            }
        }

        @Test(
            "What is wrong with a server's name is told with status 64",
            arguments: [
                ["--host", ""], ["--host", "a,"], ["--host", "a:0"], ["--host", "a:99999"], ["--host", "[::1"],
                ["--host", "[::1]7400"], ["--host", "a b"], ["--wait", "-1"], ["--wait", "ever"],
                ["--reconnect-for", "never"],
            ])
        func usage(_ arguments: [String]) throws {
            for command in [[], ["bench"]] where command.isEmpty || arguments[0] != "--reconnect-for" {
                let client = try Spawned("client", command + arguments)
                try client.expectStatus(64)
                #expect(client.errors.textSoFar.contains("'"), "it names what was wrong")
            }
        }

        @Test("client bench waits for its server, and goes on to the next one")
        func bench() throws {
            try withServer { server in
                let closed = try RawListener()
                closed.close()
                let hosts = "127.0.0.1:\(closed.address.port ?? 0),127.0.0.1:\(server.port)"
                let bench = try Spawned(
                    "client", ["bench", "--host", hosts, "--connections", "1", "--duration", "50ms", "--wait", "10"])
                try bench.expectStatus(0)
            }
        }
    }
}

/// A name with several addresses, for a command that runs in a mount namespace of its own (unshare(1), hosts(5)).
private final class MountedHosts {
    let name = "lifeline-test"
    private let file: TemporaryFile

    init(_ addresses: [String]) throws {
        file = try TemporaryFile(Array(addresses.map { "\($0) lifeline-test\n" }.joined().utf8))
        chmod(file.path, 0o644)
    }

    /// The prefix of the command.
    var prefix: [String] {
        ["unshare", "--mount", "sh", "-c", "mount --bind '\(file.path)' /etc/hosts && exec \"$@\"", "sh"]
    }

    /// Whether this machine lets us make one.
    static let canBeMade: Bool = {
        guard let hosts = try? MountedHosts(["127.0.0.1"]) else { return false }
        let check = try? Spawned("/usr/bin/getent", ["hosts", hosts.name], prefix: hosts.prefix)
        return (try? check?.wait()) == .status(0)
    }()
}
