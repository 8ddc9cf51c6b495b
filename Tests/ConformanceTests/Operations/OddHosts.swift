import Foundation
import RawWire
import Testing

extension Live.Operations {
    /// What hosts, health checks and people bring to an operator's server.
    @Suite("Odd hosts") struct OddHosts {}
}

extension Live.Operations.OddHosts {
    @Test(
        "A health check that leaves without a byte is no warning, and is counted apart", arguments: ["info", "debug"])
    func probes(_ level: String) throws {
        try withControl { control in
            try withServer("--log-level", level, "--control", control) { server in
                try server.connect().reset()
                let resets = try server.connect()
                try server.waitForChildren(1)
                resets.reset()
                try server.connect().close()
                let halfClosed = try server.connect()
                halfClosed.shutdownWriting()
                try halfClosed.takePreface()
                #expect(try halfClosed.take(.close).notice?.code == .normal)
                halfClosed.close()
                try server.waitForChildren(0)
                let said = try server.connect()
                try said.send(Array("LIFE".utf8))
                try server.waitForChildren(1)
                said.reset()
                try server.waitForChildren(0)
                let status = try #require(try Operator(control: control).json("status").first)
                #expect(status["probes"] as? Int == 4 && status["closed"] as? Int == 5, "\(status)")
                try server.log.line(with: " warning closed connection=5 ", "reason=LOST")
                let others = server.log.linesSoFar.filter {
                    $0.contains(" connection=") && !$0.contains("connection=5 ")
                }
                #expect(others.allSatisfy { $0.contains(" debug probed ") && $0.contains(" reason=PROBE by=client ") })
                #expect(others.count == (level == "debug" ? 4 : 0))
            }
        }
    }

    @Test("--host :: and * need no IPv6, and the log says that it lacks", arguments: ["::", "*"])
    func withoutIPv6(_ host: String) throws {
        let forced = ["/usr/bin/env", "LIFELINE_FORCE_ERRNO=socket:EAFNOSUPPORT"]
        try withServer("--host", host, prefix: forced) { server in
            #expect(server.address == .v4("0.0.0.0", server.port))
            try server.log.line(with: " warning no IPv6 address=0.0.0.0:")
            try RawPeer.connect(to: .v4("127.0.0.1", server.port)).close()
        }
    }

    @Test(
        "Names that need no resolver",
        arguments: [("localhost", "127.0.0.1:"), ("LOCALHOST", "127.0.0.1:"), ("*", "[::]:")])
    func names(_ host: String, _ shown: String) throws {
        guard host != "*" || hasIPv6 else { return }
        try withServer("--host", host, "--metrics", "localhost:0") { server in
            #expect(server.address.description.hasPrefix(shown))
            try server.log.line(with: " metrics=127.0.0.1:")
            try RawPeer.connect(to: .v4("127.0.0.1", server.port)).close()
        }
    }

    @Test(
        "A name with umlauts stays as it is in the log, in ctl and in JSON", arguments: ["kässa", "漢字", "k\u{202E}x"])
    func umlauts(_ name: String) throws {
        let shown = name.replacing("\u{202E}", with: "\\u{202e}")
        try withControl { control in
            try withServer("--control", control) { server in
                let peer = try server.open(.hello(options: RawFrame.name(name)))
                let user = Operator(control: control)
                #expect(try user.json("connections").first?["name"] as? String == name)
                let table = try user.ctl("connections").split(separator: "\n").map(String.init)
                #expect(table.count == 2 && table[1].contains(" \(shown) "), "\(table)")
                #expect(try user.ctl("connections", "--name", name).contains(shown))
                peer.close()
                try server.log.line(with: "closed", " name=\"\(shown)\"")
            }
        }
    }

    @Test("The bytes of a message are those that were typed, and no others are taken as text")
    func bytes() throws {
        try withServer { server in
            let script = "\"$0\" --port \(server.port) --binary \"$(printf 'caf\\351')\" | od -An -tx1"
            let binary = try Spawned(["/bin/sh", "-c", script, "\(Spawned.products)/client"])
            try binary.expectStatus(0)
            #expect(binary.output.textSoFar == " 63 61 66 e9\n")
            for flag in ["--name", "--token-file"] {
                let script = "exec \"$0\" --port \(server.port) \(flag) \"$(printf 'caf\\351')\""
                let client = try Spawned(["/bin/sh", "-c", script, "\(Spawned.products)/client"])
                try client.expectStatus(64)
                #expect(client.errors.textSoFar.contains("'caf\\xe9' is not UTF-8"))
            }
            for flag in ["--log", "--exec", "--host"] {
                let script = "exec \"$0\" --port 0 \(flag) \"$(printf 'caf\\351')\""
                let server = try Spawned(["/bin/sh", "-c", script, "\(Spawned.products)/server"])
                try server.expectStatus(64)
                #expect(server.errors.textSoFar == "server: 'caf\\xe9' is not UTF-8, which every argument is here\n")
            }
        }
    }

    @Test("Behind the last answer nobody is told that the client connects again", arguments: [["hi"], []])
    func nothingLeft(_ messages: [String]) throws {
        let listener = try RawListener()
        let client = try startClient(
            messages, port: listener.address.port ?? 0, input: messages.isEmpty ? .pipe : .null)
        try tellingErrors(of: client) {
            if messages.isEmpty {
                try client.write("hi\n")
                client.closeInput()
            }
            let peer = try listener.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            try peer.send(RawFrame.preface + RawFrame.welcome().bytes)
            let request = try peer.takeRequest()
            // The end comes with the answer.
            try peer.send(
                RawFrame.response(request.id, request.payload).bytes + RawFrame.close(lastID: request.id).bytes)
            try peer.readToEnd()
            peer.close()
            try client.expectStatus(0)
            #expect(client.output.textSoFar == "hi\n" && client.errors.textSoFar.isEmpty, "\(client.errors.textSoFar)")
        }
    }
}
