import Foundation
import RawWire
import Testing

extension Live.Topics {
    /// What back-ends and operators do by the publish socket and `server ctl`.
    @Suite("Publishing") struct Push {}
}

/// The kinds of process that connections can be in.
private let kinds: [[String]] = [[], ["--pool", "2"], ["--connections-per-process", "8"]]

/// A client of this name that has said HELLO.
private func client(_ server: ServerProcess, _ name: String, answers: Bool = false) throws -> RawPeer {
    try server.open(
        .hello(minor: 1, options: RawFrame.name(name) + (answers ? RawFrame.answers() : [])))
}

extension Live.Topics.Push {
    @Test("What is published reaches subscribers, and what is sent those of the name", arguments: kinds)
    func publish(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let till = try client(server, "till 7")
            let other = try client(server, "other")
            let backEnd = try places.open()
            #expect(eventually { (try? backEnd.ask("online all")) == "2" })
            #expect(try backEnd.ask("online name:till%207") == "1" && backEnd.ask("online name:nobody") == "0")
            #expect(try backEnd.ask("subscribe name:till%207 room/7") == "1")
            #expect(try backEnd.ask("publish room/7 ", [0, 255, 10]) == "1")
            #expect(try till.take(.message).payload == [0, 255, 10])
            #expect(try backEnd.ask("publish nothing hello") == "0")
            #expect(try backEnd.ask("send all\nto all") == "2")
            #expect(try till.take(.message).text == "to all" && other.take(.message).text == "to all")
            #expect(try backEnd.ask("topics") == "{\"topic\":\"room/7\",\"subscribers\":1}\n")
            let members = try backEnd.ask("members room/7")
            #expect(members.hasSuffix("}\n") && members.contains("\"name\":\"till 7\",\"peer\":\"127.0.0.1:"))
            #expect(!members.contains("token"))
            #expect(try backEnd.ask("unsubscribe all room/7") == "2" && backEnd.ask("topics") == "")
            // A one-way message has no answer, and does the same.
            try backEnd.peer.send(.message("send name:other quietly"))
            #expect(try other.take(.message).text == "quietly")
            #expect(try backEnd.ask("disconnect name:till%207 closing time") == "1")
            let close = try till.frames(upTo: .close).last?.notice
            #expect(close?.code == .kicked && close?.text == Array("closing time".utf8))
            for peer in [other, backEnd.peer] { peer.close() }
        }
    }

    @Test("A request reaches one client, and every outcome comes back", arguments: kinds)
    func request(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let till = try client(server, "till", answers: true)
            let mute = try client(server, "mute")
            let backEnd = try places.open()
            #expect(eventually { (try? backEnd.ask("online all")) == "2" })
            try backEnd.send("request name:till are you there")
            let asked = try till.take(.request)
            #expect(asked.text == "are you there")
            try till.send(.response(asked.id, "yes"))
            #expect(try backEnd.peer.take(.response).text == "yes")
            try backEnd.send("request timeout=20 name:till again")
            try till.send(.failure(try till.take(.request).id, .handlerFailed, "no paper"))
            let failed = try backEnd.peer.take(.failure)
            #expect(RawCode(number: UInt16(bigEndian: failed.payload[...])) == .handlerFailed)
            #expect(String(decoding: failed.payload.dropFirst(8), as: UTF8.self) == "no paper")
            let late = try backEnd.failure(of: "request timeout=100ms name:till too late")
            #expect(late.code == .handlerFailed && late.text.hasPrefix("UNKNOWN: "), "\(late)")
            for nobody in ["name:mute", "name:nobody", "connection:99"] {
                let failure = try backEnd.failure(of: "request \(nobody) hello")
                #expect(failure.code == .handlerFailed && failure.text.hasPrefix("NOT_SENT: "), "\(failure)")
            }
            for peer in [till, mute, backEnd.peer] { peer.close() }
        }
    }

    @Test("A back-end that cancels its request ends it early, and the client hears of it")
    func cancel() throws {
        try withPublishing { server, places in
            let till = try client(server, "till", answers: true)
            let backEnd = try places.open()
            #expect(eventually { (try? backEnd.ask("online name:till")) == "1" })
            let id = try backEnd.send("request timeout=1h name:till wait")
            let asked = try till.take(.request)
            try backEnd.peer.send(.cancel(id))
            let failure = try backEnd.peer.take(.failure)
            #expect(failure.id == id && RawCode(number: UInt16(bigEndian: failure.payload[...])) == .cancelled)
            #expect(try till.take(.cancel).id == asked.id)
            // The handler is free again.
            #expect(eventually { (try? backEnd.ask("online name:till")) == "1" })
            till.close()
            backEnd.peer.close()
        }
    }

    @Test("ctl publishes, sends, subscribes and lists, for people and for programs", arguments: kinds)
    func ctl(_ arguments: [String]) throws {
        try withPublishing(arguments) { server, places in
            let user = places.user
            let till = try client(server, "till")
            #expect(try eventually { try user.ctl("online", "--name", "till") == "1 connection\n" })
            #expect(try user.ctl("subscribe", "--all", "room") == "subscribed 1 connection\n")
            #expect(try user.ctl("publish", "room", "two words") == "reached 1 connection\n")
            #expect(try till.take(.message).text == "two words")
            #expect(try user.words(["send", "--name", "till"], input: "line\nand line\n") == "reached 1 connection\n")
            #expect(try till.take(.message).text == "line\nand line\n")
            #expect(try user.ctl("publish", "nobody", "x") == "reached 0 connections\n")
            #expect(try user.json("publish", "nobody", "x").first?["connections"] as? Int == 0)
            #expect(try user.ctl("topics") == "TOPIC  SUBSCRIBERS\nroom   1\n")
            let member = try #require(try user.json("members", "room").first)
            #expect(member["name"] as? String == "till" && member["token"] == nil)
            #expect(try user.ctl("members", "room").hasPrefix("CONNECTION  NAME  TOKEN  PEER\n"))
            #expect(try user.ctl("disconnect", "--name", "till", "bye") == "ended 1 connection\n")
            #expect(try till.frames(upTo: .close).last?.notice?.text == Array("bye".utf8))
        }
    }

    @Test("ctl asks a client; its statuses say what became of it")
    func ctlRequest() throws {
        try withPublishing { server, places in
            let user = places.user
            let till = try client(server, "till", answers: true)
            #expect(try eventually { try user.ctl("online", "--name", "till") == "1 connection\n" })
            func ask(_ words: String..., answer: (RawPeer, UInt32) throws -> Void) throws -> (Spawned.Exit, String) {
                let command = try Spawned(
                    "server", ["ctl", "--control", user.control, "request", "--name", "till"] + words)
                try answer(till, try till.take(.request).id)
                let exit = try command.wait()
                _ = command.output.waitForEnd()
                _ = command.errors.waitForEnd()
                return (exit, command.output.textSoFar + command.errors.textSoFar)
            }
            let done = try ask("hello") { try $0.send(.response($1, "yes")) }
            #expect(done == (.status(0), "yes"))
            let failed = try ask("hello") { try $0.send(.failure($1, .handlerFailed, "no paper")) }
            #expect(failed.0 == .status(70) && failed.1.contains("FAILED: HANDLER_FAILED, no paper"))
            let unknown = try ask("--for", "100ms", "hello") { _, _ in }
            #expect(unknown.0 == .status(75) && unknown.1.contains("UNKNOWN: "))
            #expect(try user.ctl("request", "--name", "nobody", "hello", status: 69).contains("NOT_SENT: "))
            till.close()
        }
    }

    @Test("A message that is too long is refused, with what the server takes", arguments: kinds)
    func tooLong(_ arguments: [String]) throws {
        try withPublishing(arguments + ["--max-message", "2000"]) { _, places in
            let text = String(repeating: "x", count: 3000)
            let said = try places.user.words(["publish", "room"], status: 64, input: text)
            #expect(said.contains("the server takes at most 2000"), "\(said)")
        }
    }

    @Test("A program subscribes its own connection, and publishes, by what its environment says")
    func program() throws {
        // It tells the socket what its client says, with the number of the connection.
        let script = """
            import os, socket, struct, sys
            def frame(kind, number, body): return struct.pack("!IBBHI", len(body), kind, 0, 0, number) + body
            for line in sys.stdin:
                with socket.socket(socket.AF_UNIX) as server:
                    server.connect(os.environ["LIFELINE_PUBLISH_SOCKET"])
                    words = line.strip().replace("ME", "connection:" + os.environ["LIFELINE_CONNECTION"])
                    hello = struct.pack("!BBHIIII", 1, 0, 1, 0, 0, 16384, 1 << 20)
                    server.sendall(b"LIFELINE" + frame(1, 0, hello) + frame(5, 1, words.encode()))
                    stream = server.makefile("rb")
                    stream.read(8)
                    while True:
                        length, kind, _, _, _ = struct.unpack("!IBBHI", stream.read(12))
                        body = stream.read(length)
                        if kind in (6, 9): break
                    print(body.decode() if kind == 6 else body[8:].decode(), flush=True)
            """
        try withPublishing(["--exec", "python3", "-u", "-c", script]) { server, _ in
            let (one, other) = (try server.open(), try server.open())
            try one.send(.request(1, "subscribe ME prices"))
            #expect(try one.take(.response).text == "1")
            try other.send(.request(1, "publish prices milk"))
            #expect(try other.take(.response).text == "1")
            #expect(try one.take(.message).text == "milk")
            for peer in [one, other] { peer.close() }
        }
    }
}
