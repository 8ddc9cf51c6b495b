import Foundation
import RawWire
import Testing

extension Live.Client {
    /// `client --answer`: a program for each request of the server.
    @Suite("Client: --answer") struct ClientAnswerCommand {
        /// A client with these flags, on a raw server's connection that is open.
        private func withAnswers(_ flags: [String], _ body: (RawPeer, Spawned) throws -> Void) throws {
            let listener = try RawListener()
            let client = try startClient(["--hold", "60"] + flags, port: listener.address.port ?? 0)
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                try peer.greet(.twoWay())
                try body(peer, client)
                client.kill(SIGKILL)
            }
        }

        @Test("Its standard input is the request, and its standard output the answer, byte for byte")
        func bytes() throws {
            try withAnswers(["--answer", "cat"]) { peer, _ in
                let requests: [[UInt8]] = [
                    [], [0, 0xFF, 0x0A], Array("hello\n\n".utf8), [UInt8](repeating: 7, count: 16000),
                ]
                for (index, request) in requests.enumerated() {
                    try peer.send(.request(UInt32(index + 1), request))
                    var answer: [UInt8] = []
                    var chunk: RawFrame
                    repeat {
                        chunk = try peer.next(.response)
                        answer += chunk.payload
                    } while chunk.hasMore
                    #expect(chunk.id == UInt32(index + 1) && answer == request)
                }
            }
        }

        @Test("All that follows is the program's; --shell takes one word for a shell")
        func words() throws {
            try withAnswers(["--answer", "printf", "%s-%s", "--verbose", "b c"]) { peer, _ in
                try peer.send(.request(1))
                #expect(try peer.next(.response).text == "--verbose-b c")
            }
            try withAnswers(["--shell", "--answer", "tr a-z A-Z; echo \" $((1 + 1))\""]) { peer, _ in
                try peer.send(.request(1, "abc"))
                #expect(try peer.next(.response).text == "ABC 2\n")
            }
        }

        @Test(
            "A program that fails is HANDLER_FAILED, with the last line of its standard error",
            arguments: [
                ("echo first >&2; echo 'no such till' >&2; exit 3", "no such till"), ("exit 3", "status 3"),
                ("kill -9 $$", "SIGKILL"),
            ])
        func fails(_ script: String, _ text: String) throws {
            try withAnswers(["--shell", "--answer", script]) { peer, client in
                try peer.send(.request(1))
                let failure = try peer.next(.failure)
                #expect(failure.id == 1 && failure.notice?.code == .handlerFailed)
                let said = String(decoding: failure.notice?.text ?? [], as: UTF8.self)
                #expect(said.contains(text))
                if text == "no such till" { try client.errors.line(with: "client: /bin/sh: first") }
                // The connection goes on.
                try peer.send(.ping(9))
                #expect(try peer.next(.pong).payload.prefix(8) == bigEndian(UInt64(9))[...])
            }
        }

        @Test("Several run at once, and --answers is the limit")
        func atOnce() throws {
            let script = "read -r name; while ! [ -e $name ]; do sleep 0.02; done; echo done"
            let gate = try TemporaryFile()
            try withAnswers(["--answers", "2", "--shell", "--answer", script]) { peer, _ in
                for id: UInt32 in 1...3 { try peer.send(.request(id, "\(gate.path)-open\n")) }
                let refused = try peer.next(.failure)
                #expect(refused.id == 3 && refused.notice?.code == .refused)
                let open = try TemporaryFile()
                #expect(rename(open.path, gate.path + "-open") == 0)
                defer { unlink(gate.path + "-open") }
                #expect(Set([try peer.next(.response).id, try peer.next(.response).id]) == [1, 2])
            }
        }

        @Test("A program whose request is taken back is killed, with what it has started")
        func cancelled() throws {
            let file = try TemporaryFile()
            try withAnswers(["--shell", "--answer", "sleep 600 & echo $! > \(file.path); wait"]) { peer, _ in
                try peer.send(.request(1))
                var sleeper: pid_t = 0
                #expect(
                    eventually {
                        sleeper = pid_t(String(decoding: file.bytes.dropLast(), as: UTF8.self)) ?? 0
                        return sleeper > 0
                    })
                try peer.send(.cancel(1))
                let failure = try peer.next(.failure)
                #expect(failure.id == 1 && failure.notice?.code == .cancelled)
                #expect(eventually { [nil, "Z"].contains(ProcessFiles.state(of: sleeper)) })
            }
        }

        @Test(
            "An answer over --max-message ends the program and is refused; one that reads nothing answers all the same")
        func sizes() throws {
            try withAnswers(["--max-message", "1000", "--answer", "yes"]) { peer, _ in
                try peer.send(.request(1))
                #expect(try peer.next(.failure).notice?.code == .messageTooLarge)
            }
            try withAnswers(["--answer", "echo", "ok"]) { peer, _ in
                try peer.send(.request(1, [UInt8](repeating: 7, count: 16000)))
                #expect(try peer.next(.response).text == "ok\n")
            }
        }

        @Test("--json tells of each request and its reply")
        func json() throws {
            try withAnswers(["--json", "--shell", "--answer", "read -r word; echo $word; [ $word = yes ]"]) {
                peer, client in
                for (id, word): (UInt32, String) in [(1, "yes"), (2, "no")] {
                    try peer.send(.request(id, "\(word)\n"))
                    #expect(try peer.next().id == id)
                }
                var all: [[String: Any]] = []
                #expect(
                    eventually {
                        all = client.output.linesSoFar.compactMap {
                            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
                        }
                        return all.count >= 5
                    })
                #expect(
                    all.map { $0["event"] as? String } == ["connected", "request", "reply", "request", "reply_failure"])
                #expect(all[1]["text"] as? String == "yes\n" && all[2]["text"] as? String == "yes\n")
                #expect(all[4]["number"] as? Int == 2 && all[4]["code"] as? String == "HANDLER_FAILED")
            }
        }

        @Test("A program that is not there is told with status 64")
        func missing() throws {
            for arguments in [["--answer", "/no/such/program"], ["--answer", ""], ["--shell", "--answer", "a", "b"]] {
                let client = try Spawned("client", arguments)
                try client.expectStatus(64)
                #expect(client.errors.textSoFar.hasPrefix("client: --"))
            }
        }
    }
}
