import Glibc
import Testing
import RawWire

extension Live.Programs {
    /// Any program in place of a handler, `server --exec`: what it is told, and what becomes of what it says.
    @Suite("Programs and what they answer") struct ProgramAnswers {}
}

// MARK: Framing

extension Live.Programs.ProgramAnswers {
    static let upper: [[String]] = [
        ["python3", "-u", "-c", "import sys\nfor line in sys.stdin: print(line.rstrip('\\n').upper())"],
        ["sh", "-c", #"while IFS= read -r line; do printf '%s\n' "$line" | tr a-z A-Z; done"#],
        ["awk", "-W", "interactive", "{ print toupper($0); fflush() }"],
    ]

    @Test("A program for a connection answers line by line, in any language", arguments: upper)
    func lines(_ command: [String]) throws {
        try withServer(["--exec"] + command) { server in
            let peer = try server.open()
            #expect(try peer.answers(to: ["hello", "", "wie geht's", "x"]) == ["HELLO", "", "WIE GEHT'S", "X"])
            try peer.send(.close())
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("Requests that come at once are given to the program one by one, and answered in order")
    func pipelined() throws {
        try withServer("--exec", "cat") { server in
            let peer = try server.open()
            try peer.send((UInt32(1)...200).flatMap { RawFrame.request($0, "\($0)").bytes })
            for id in UInt32(1)...200 {
                let frame = try peer.take(.response)
                #expect(frame.id == id && frame.text == "\(id)")
            }
        }
    }

    @Test("A short connection's request is answered by a program of its own")
    func short() throws {
        try withServer("--exec", "cat") { server in
            let peer = try server.open(.short)
            try peer.send(.request(1, "once"))
            #expect(try peer.take(.response).text == "once")
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("With --exec-framing length, requests and answers carry newlines and any other byte")
    func lengths() throws {
        let program = """
            import sys
            while head := sys.stdin.buffer.read(4):
                body = sys.stdin.buffer.read(int.from_bytes(head, 'big'))[::-1]
                sys.stdout.buffer.write(len(body).to_bytes(4, 'big') + body)
                sys.stdout.buffer.flush()
            """
        try withServer("--exec-framing", "length", "--exec", "python3", "-c", program) { server in
            let peer = try server.open()
            let bytes = (0..<12000).map { UInt8(truncatingIfNeeded: $0) }
            try peer.send(.request(1, bytes))
            #expect(try peer.take(.response).payload == bytes.reversed())
            try peer.send(.request(2, ""))
            #expect(try peer.take(.response).payload == [])
        }
    }

    @Test("With --exec-per request a whole message goes through a program of its own, however long")
    func raw() throws {
        try withServer("--exec-per", "request", "--exec", "cat") { server in
            let peer = try server.open()
            for id in UInt32(1)...3 {
                let bytes = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
                for start in stride(from: 0, to: bytes.count, by: 16384) {
                    let end = start + 16384
                    try peer.send(.request(id, Array(bytes[start..<end]), more: end < bytes.count))
                }
                var answer: [UInt8] = []
                while true {
                    let frame = try peer.take(.response)
                    #expect(frame.id == id)
                    answer += frame.payload
                    if !frame.hasMore { break }
                }
                #expect(answer == bytes)
            }
        }
    }

    @Test("No shell reads the arguments; with --shell one does")
    func shell() throws {
        try withServer("--exec-per", "request", "--exec", "printf", "%s|", "$HOME", "a  b", "--port", ";") { server in
            let peer = try server.open(.short)
            try peer.send(.request(1))
            #expect(try peer.take(.response).text == "$HOME|a  b|--port|;|")
        }
        try withServer("--exec-per", "request", "--shell", "--exec", "tr a-z A-Z | sed 's/L/l/g'") { server in
            let peer = try server.open(.short)
            try peer.send(.request(1, "hello"))
            #expect(try peer.take(.response).text == "HEllO")
        }
    }

    @Test("A line is said unasked, and one-way messages of the client are lines too, in order with its requests")
    func messages() throws {
        try withServer("--shell", "--exec", "echo ready; while read -r line; do echo \"got $line\"; done") { server in
            let peer = try server.open()
            #expect(try peer.take(.message).text == "ready")
            try peer.send(.message(Array("note".utf8)))
            #expect(try peer.take(.message).text == "got note")
            try peer.send(.request(1, "question"))
            #expect(try peer.take(.response).text == "got question")
        }
    }

    @Test("A request with a newline fails with the way out; the next is answered")
    func newline() throws {
        try withServer("--exec", "cat") { server in
            let peer = try server.open()
            try peer.send(.request(1, "a\nb"))
            let failure = try peer.take(.failure).notice
            #expect(failure?.code == .handlerFailed && failure?.words.contains("--exec-framing length") == true)
            try peer.send(.request(2, "c"))
            #expect(try peer.take(.response).text == "c")
        }
    }
}

// MARK: What it is told

extension Live.Programs.ProgramAnswers {
    private static let tell = """
        echo "$PROTO|$TCPREMOTEIP|$TCPREMOTEPORT|$TCPLOCALIP|$TCPLOCALPORT|$LIFELINE_CONNECTION|$LIFELINE_REQUEST|\
        ${LIFELINE_NAME-none}|$OWN"
        """

    @Test("The environment names the connection as UCSPI does, the request, and what the client calls itself")
    func environment() throws {
        // A server that a UCSPI server has started tells its programs of their own connections alone.
        let prefix = ["/usr/bin/env", "OWN=kept", "TCPREMOTEIP=192.0.2.1", "LIFELINE_NAME=old", "TCPREMOTEHOST=old"]
        try withServer("--exec-per", "request", "--shell", "--exec", Self.tell, prefix: prefix) { server in
            for (options, name) in [([], "none"), (RawFrame.name("a b;$(c)"), "a b;$(c)")] {
                let peer = try server.open(.hello(options: options))
                for id: UInt32 in [1, 7] {
                    try peer.send(.request(id))
                    let number = options.isEmpty ? 1 : 2
                    #expect(
                        try peer.frames(upTo: .response)[0].text
                            == "TCP|127.0.0.1|\(peer.localPort)|127.0.0.1|\(server.port)|\(number)|\(id)|\(name)|kept\n"
                    )
                    _ = try peer.take(.response)
                }
            }
        }
        try withServer("--host", "::1", "--shell", "--exec", Self.tell) { server in
            let peer = try server.open()
            #expect(
                try peer.take(.message).text == "TCP|::1|\(peer.localPort)|::1|\(server.port)|1||none|")
        }
    }

    @Test("On a Unix socket PROTO is UNIX, with the path")
    func unixSocket() throws {
        let path = "/tmp/lifeline-exec-\(getpid()).socket"
        try withServer("--host", "unix:\(path)", "--shell", "--exec", "echo $PROTO:$UNIXLOCALPATH:$TCPLOCALIP") {
            server in
            let peer = try server.open()
            #expect(try peer.take(.message).text == "UNIX:\(path):")
        }
    }

    @Test("It starts with three descriptors, no signal blocked or ignored, and a process group of its own")
    func cleanStart() throws {
        // What the server itself is started with does not matter: a descriptor, and signals that are ignored.
        let prefix = ["/bin/sh", "-c", "trap '' HUP INT; exec 9</dev/null; exec \"$@\"", "sh"]
        let files = ["self/fd", "self/status", "self/stat"].map { "/proc/\($0)" }
        try withServer("--exec-per", "request", "--exec", "ls", files[0], prefix: prefix) { server in
            let numbers = try answer(of: server)
            #expect(numbers == "0\n1\n2\n3\n", "the last is what ls reads")
        }
        try withServer("--exec-per", "request", "--exec", "grep", "Sig[BI]", files[1], prefix: prefix) { server in
            let signals = try answer(of: server)
            #expect(signals == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")
        }
        try withServer("--exec-per", "request", "--exec", "cut", "-d ", "-f1,5", files[2]) { server in
            let numbers = try answer(of: server).dropLast().split(separator: " ")
            #expect(numbers.count == 2 && numbers[0] == numbers[1], "it leads its group: \(numbers)")
        }
    }

    private func answer(of server: ServerProcess) throws -> String {
        let peer = try server.open(.short)
        try peer.send(.request(1))
        return try peer.frames(upTo: .close).filter { $0.type == .response }.map(\.text).joined()
    }

    @Test("Its standard error is in the log, line by line, escaped, with the connection and its number")
    func standardError() throws {
        let say = #"printf 'one\n\033[31m"two"\nhalf' >&2; exec cat"#
        try withServer("--shell", "--exec", say) { server in
            let peer = try server.open()
            try server.log.line(with: " info program ", "connection=1", "pid=", "text=one")
            try server.log.line(with: #"text="\u{1b}[31m\"two\"""#)
            try peer.send(.close())
            try peer.takeClose()
            try server.log.line(with: "text=half")
        }
    }
}

// MARK: Back-pressure

extension Live.Programs.ProgramAnswers {
    @Test("A program that floods is written to the client as fast as it reads, and heartbeats are answered meanwhile")
    func flood() throws {
        let line = String(repeating: "y", count: 1000)
        try withServer("--max-message", "64k", "--max-queued", "256k", "--exec", "yes", line) { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            for nonce in UInt64(1)...20 {
                try peer.send(.ping(nonce))
                let frames = try peer.frames(upTo: .pong)
                #expect(frames.dropLast().allSatisfy { $0.type == .message && $0.payload.count == 1000 })
            }
            let memory = try #require(ProcessFiles.anonymousMemory(of: child))
            #expect(memory < 100 << 20)
            // A client that stops reading stops the program too.
            let program = try #require(ProcessFiles.children(of: child).first)
            #expect(eventually { ProcessFiles.state(of: program) == "S" })
            peer.close()
        }
    }

    @Test("A flood on standard error is summed up in the log, and answers go on")
    func floodOfErrors() throws {
        let script = Script("yes | head -c 4000000 >&2 & cat")
        try withServer(exec: script) { server in
            let start = SuspendingClock.now
            let peer = try server.open()
            #expect(try peer.answers(to: (1...100).map { "\($0)" }) == (1...100).map { "\($0)" })
            try server.log.line(with: "program", "text=y", "skipped=")
            // A hundred at once, and twenty a second.
            #expect(Double(server.log.linesSoFar.count) < 110 + 20 * (start.age / .seconds(1)))
            try peer.send(.close())
            try peer.takeClose()
        }
    }

    @Test("A line that is longer than the client accepts fails its request, and the dialogue goes on")
    func tooLong() throws {
        let program = "while read -r count; do head -c $count /dev/zero | tr '\\0' x; echo; done"
        try withServer("--shell", "--exec", program) { server in
            let peer = try server.open(.hello(maxMessage: 1000))
            try peer.send(.request(1, "1000"))
            #expect(try peer.take(.response).payload.count == 1000)
            try peer.send(.request(2, "1001"))
            #expect(try peer.take(.failure).notice?.code == .messageTooLarge)
            try peer.send(.request(3, "100000"))
            #expect(try peer.take(.failure).notice?.code == .messageTooLarge)
            try peer.send(.request(4, "3"))
            #expect(try peer.take(.response).text == "xxx")
        }
    }

    @Test("With a program for each request, more than the client accepts fails that request, and ends its program")
    func tooLargeStream() throws {
        try withServer("--exec-per", "request", "--exec", "yes") { server in
            let peer = try server.open(.hello(maxMessage: 100_000))
            for id in UInt32(1)...2 {
                try peer.send(.request(id))
                let frames = try peer.frames(upTo: .failure)
                #expect(frames.last?.notice?.code == .messageTooLarge)
                #expect(frames.dropLast().reduce(0) { $0 + $1.payload.count } <= 100_000)
            }
        }
    }
}
