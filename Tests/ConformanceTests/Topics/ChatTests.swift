import Glibc
import RawWire
import Testing

extension Live.Topics {
    /// `--handler chat`.
    @Suite("Chat") struct Chat {}
}

private let kinds: [[String]] = [[], ["--pool", "2"], ["--connections-per-process", "8"]]

private func join(_ server: ServerProcess, _ name: String?) throws -> RawPeer {
    try server.open(.hello(minor: 1, options: name.map { RawFrame.name($0) } ?? []))
}

extension Live.Topics.Chat {
    /// The answer to a request, and that alone.
    private func ask(_ peer: RawPeer, _ id: UInt32, _ text: String) throws -> String {
        try peer.send(.request(id, text))
        return try peer.take(.response).text
    }

    @Test("What one says all others hear, with the name of whoever has said it", arguments: kinds)
    func says(_ arguments: [String]) throws {
        try withServer(["--handler", "chat"] + arguments) { server in
            let anna = try join(server, "anna")
            #expect(try ask(anna, 1, "anybody?") == "0")
            let bert = try join(server, "bert")
            #expect(try anna.take(.message).text == "bert has joined")
            #expect(try ask(anna, 2, "hello") == "1")
            #expect(try bert.take(.message).text == "anna: hello")
            try bert.send(.message("hi"))
            #expect(try anna.take(.message).text == "bert: hi")
            #expect(try ask(anna, 3, "") == "0", "an empty message is none")
            #expect(Set(try ask(anna, 4, "/who").split(separator: "\n")) == ["anna", "bert"])
            try bert.send(.message("/who"))
            #expect(Set(try bert.take(.message).text.split(separator: "\n")) == ["anna", "bert"])
            try bert.send(.close())
            _ = try bert.takeClose()
            #expect(try anna.take(.message).text == "bert has left")
            anna.close()
        }
    }

    @Test("Whoever has no name is known by the number, and a line is never two")
    func names() throws {
        try withServer("--handler", "chat") { server in
            let anna = try join(server, "anna")
            #expect(try ask(anna, 1, "") == "0")
            let (unnamed, welcome) = try server.greeted(.hello(minor: 1))
            #expect(try anna.take(.message).text == "connection \(welcome.connection) has joined")
            try unnamed.send(.message("hello\nanna: I was never here\u{1B}[2J"))
            #expect(
                try anna.take(.message).text
                    == "connection \(welcome.connection): hello\\u{a}anna: I was never here\\u{1b}[2J")
            for peer in [anna, unnamed] { peer.close() }
        }
    }

    @Test("A SHORT connection says something, and is no member")
    func short() throws {
        try withServer("--handler", "chat") { server in
            let anna = try join(server, "anna")
            #expect(try ask(anna, 1, "") == "0")
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.hello(flags: 1, options: RawFrame.name("bert")).bytes)
            try peer.send(.request(1, "passing by"))
            try peer.takePreface()
            _ = try peer.take(.welcome)
            #expect(try peer.take(.response).text == "1")
            #expect(try anna.take(.message).text == "bert: passing by")
            anna.close()
        }
    }

    @Test("A reload brings chat only to a server that has topics, and says so")
    func reload() throws {
        let file = try TemporaryFile(Array("handler echo\n".utf8))
        try withServer("--config", file.path) { server in
            try file.replace("handler chat\n")
            server.process.kill(SIGHUP)
            try server.log.line(with: "not reloaded", "--handler chat needs topics", "--topics")
            let peer = try server.open()
            #expect(try ask(peer, 1, "echo") == "echo")
            peer.close()
        }
        let other = try TemporaryFile(Array("handler echo\n".utf8))
        try withServer("--topics", "--config", other.path) { server in
            try other.replace("handler chat\n")
            server.process.kill(SIGHUP)
            try server.log.line(with: " reloaded")
            let peer = try join(server, "anna")
            #expect(try ask(peer, 1, "echo") == "0")
            peer.close()
        }
    }
}
