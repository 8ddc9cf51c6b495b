import Glibc
import RawWire
import Testing

extension Live.Programs {
    /// Programs that say what each line is, `--exec-framing tagged` and `tagged-length`.
    @Suite("Programs that say what they say") struct TaggedPrograms {}
}

// MARK: What they say

extension Live.Programs.TaggedPrograms {
    /// Each answers `request ID TEXT` with TEXT in capitals, and speaks unasked all the time.
    static let talkers: [[String]] = [
        [
            "python3", "-u", "-c",
            """
            import sys, threading, time
            def tick():
                while True:
                    sys.stdout.write("message tick\\n")
                    time.sleep(0.001)
            threading.Thread(target=tick, daemon=True).start()
            for line in sys.stdin:
                word, _, rest = line.rstrip("\\n").partition(" ")
                if word == "request":
                    id, _, text = rest.partition(" ")
                    sys.stdout.write(f"answer {id} {text.upper()}\\n")
            """,
        ],
        [
            "sh", "-c",
            """
            (while sleep 0.001; do echo message tick; done) &
            while IFS=' ' read -r word id text; do
                [ "$word" = request ] && echo "answer $id $(echo "$text" | tr a-z A-Z)"
            done
            """,
        ],
        [
            "awk", "-W", "interactive",
            #"""
            { print "message tick"; fflush() }
            $1 == "request" { print "answer " $2 " " toupper(substr($0, length($1 $2) + 3)); fflush(); print "message tock" }
            """#,
        ],
    ]

    @Test(
        "What a program says unasked is never an answer, and requests need not wait for each other", arguments: talkers)
    func talkers(_ command: [String]) throws {
        try withServer(["--exec-framing", "tagged", "--exec"] + command) { server in
            let peer = try server.open()
            let texts = (1...200).map { $0 % 10 == 0 ? "" : "request \($0) of  many" }
            try peer.send(texts.enumerated().flatMap { RawFrame.request(UInt32($0 + 1), $1).bytes })
            for text in texts.indices {
                let frame = try peer.frames(upTo: .response).last
                #expect(frame?.id == UInt32(text + 1) && frame?.text == texts[text].uppercased())
            }
            try peer.send(.close())
            #expect(try peer.frames(upTo: .close).last?.notice?.code == .normal)
        }
    }

    @Test("Requests are answered in any order, with many lines, and with failures")
    func anyOrder() throws {
        let program = """
            import sys
            ids = [sys.stdin.readline().split()[1] for _ in range(4)]
            print(f"answer {ids[2]} third", f"part {ids[0]} one", f"message between", f"part {ids[1]} x",
                f"part {ids[0]} two", f"end {ids[1]}", f"fail {ids[3]} no such thing", f"end {ids[0]}",
                sep="\\n", flush=True)
            sys.stdin.read()
            """
        try withServer("--exec-framing", "tagged", "--exec", "python3", "-c", program) { server in
            let peer = try server.open()
            try peer.send((UInt32(1)...4).flatMap { RawFrame.request($0 * 10).bytes })
            let frames = try (1...5).map { _ in try peer.takeFrame() }
            #expect(frames.map(\.id) == [30, 0, 20, 40, 10])
            #expect(frames[0].text == "third" && frames[1].text == "between" && frames[2].text == "x")
            #expect(frames[3].notice?.code == .handlerFailed && frames[3].notice?.words == "no such thing")
            #expect(frames[4].text == "one\ntwo")
        }
    }

    @Test("With tagged-length requests, answers and messages carry any bytes")
    func lengths() throws {
        let program = """
            import sys
            while head := sys.stdin.buffer.read(4):
                word, rest = sys.stdin.buffer.read(int.from_bytes(head, 'big')).split(b' ', 1)
                if word == b'request':
                    id, text = rest.split(b' ', 1)
                    out = b'answer ' + id + b' ' + text[::-1]
                else:
                    out = b'message ' + rest[::-1]
                sys.stdout.buffer.write(len(out).to_bytes(4, 'big') + out)
                sys.stdout.buffer.flush()
            """
        try withServer("--exec-framing", "tagged-length", "--exec", "python3", "-c", program) { server in
            let peer = try server.open()
            let bytes = (0..<12000).map { UInt8(truncatingIfNeeded: $0) }
            try peer.send(.request(1, bytes), .request(2, ""), .message(bytes))
            #expect(try peer.take(.response).payload == bytes.reversed())
            #expect(try peer.take(.response).payload == [])
            #expect(try peer.take(.message).payload == bytes.reversed())
        }
    }

    @Test("A newline fails its request with the way out; the next is answered")
    func newline() throws {
        try withServer("--exec-framing", "tagged", "--exec", "sed", "-u", "s/^request/answer/") { server in
            let peer = try server.open()
            try peer.send(.request(1, "a\nb"), .request(2, "c"))
            let failure = try peer.take(.failure)
            #expect(failure.id == 1 && failure.notice?.words.contains("--exec-framing tagged-length") == true)
            #expect(try peer.take(.response).text == "c")
        }
    }

    @Test("A program learns of a CANCEL, and its late answer is no fault")
    func cancelled() throws {
        let script = Script(
            """
            while IFS=' ' read -r word id text; do
                case $word in cancel) echo "message cancelled $id"; echo "answer $id late"; continue ;; esac
                [ "$text" = wait ] || echo "answer $id $text"
            done
            """)
        try withServer("--exec-framing", "tagged", exec: script) { server in
            let peer = try server.open()
            try peer.send(.request(1, "wait"), .request(2, "go"))
            #expect(try peer.take(.response).id == 2)
            try peer.send(.cancel(1))
            let cancelled = try peer.take(.failure).notice
            #expect(cancelled?.code == .cancelled)
            #expect(try peer.take(.message).text == "cancelled 1")
            try peer.send(.request(3, "on"))
            #expect(try peer.take(.response).text == "on")
        }
    }

    @Test("A client that reads nothing makes the program wait, and loses nothing")
    func slowReader() throws {
        let script = Script(
            "while read -r word id text; do head -c 100000 /dev/zero | tr '\\0' x | sed \"s/^/answer $id /\"; echo; done"
        )
        try withServer("--exec-framing", "tagged", "--max-queued", "1m", exec: script) { server in
            let peer = try server.open(receiveBuffer: 4096)
            try peer.send((UInt32(1)...50).flatMap { RawFrame.request($0).bytes })
            let child = try server.onlyChild()
            let program = try #require(ProcessFiles.children(of: child).first)
            #expect(eventually { ProcessFiles.state(of: program) == "S" })
            for id in UInt32(1)...50 {
                var size = 0
                while true {
                    let frame = try peer.take(.response)
                    #expect(frame.id == id)
                    size += frame.payload.count
                    if !frame.hasMore { break }
                }
                #expect(size == 100_000)
            }
        }
    }
}

// MARK: What they ask

extension Live.Programs.TaggedPrograms {
    private static let asker = Script(
        """
        while IFS=' ' read -r word id text; do
            case $word in
                request) echo "ask door-$id $text" ;;
                answer | failure) echo "answer ${id#door-} $word: $text" ;;
                part) echo "part ${id#door-} $text" ;;
                end) echo "end ${id#door-}" ;;
            esac
        done
        """)

    @Test("A program asks its client while it has requests of the client, and gets each outcome by its own name")
    func asks() throws {
        try withServer("--exec-framing", "tagged", exec: Self.asker) { server in
            let answers = RawFrame.option(5, [0, 0, 0, 2, 0, 1, 0, 0])
            let peer = try server.open(.hello(minor: 1, options: answers))
            try peer.send((UInt32(1)...3).flatMap { RawFrame.request($0, "open \($0)?").bytes })
            var asked: [RawFrame] = []
            for _ in 1...2 { asked.append(try peer.take(.request)) }
            #expect(asked.map(\.id) == [1, 2] && asked.map(\.text) == ["open 1?", "open 2?"])
            try peer.send(.failure(2, .handlerFailed, "it is stuck"), .response(1, Array("yes".utf8)))
            // The client takes two at once, so the third waits.
            let frames = try (1...3).map { _ in try peer.takeFrame() }
            let third = try #require(frames.first { $0.type == .request })
            #expect(third.text == "open 3?")
            #expect(frames.first { $0.id == 1 && $0.type == .response }?.text == "answer: yes")
            #expect(
                frames.first { $0.id == 2 && $0.type == .response }?.text
                    == "failure: FAILED HANDLER_FAILED it is stuck")
            try peer.send(.response(third.id, Array("one\ntwo".utf8)))
            #expect(try peer.take(.response).text == "one\ntwo")
        }
    }

    @Test("A client that answers no requests is not asked")
    func asksNobody() throws {
        try withServer("--exec-framing", "tagged", exec: Self.asker) { server in
            let peer = try server.open()
            try peer.send(.request(1, "open?"))
            #expect(try peer.take(.response).text == "failure: NOT_SENT - the client answers no requests")
        }
    }
}

// MARK: How they fail

extension Live.Programs.TaggedPrograms {
    @Test("A program that is out of step fails its requests and the connection with what it wrote")
    func outOfStep() throws {
        for (said, why) in [("Loading model", "'Loading model'"), ("answer 7 x", "the request 7")] {
            let script = Script("read -r line; echo '\(said)'; exec sleep 1000$0")
            try withServer("--exec-framing", "tagged", exec: script) { server in
                let peer = try server.open()
                try peer.send(.request(1))
                let failure = try peer.take(.failure).notice
                #expect(failure?.code == .handlerFailed && failure?.words.contains(why) == true)
                let close = try peer.takeClose()
                #expect(close.code == .handlerFailed && close.words.contains(why))
                try server.log.line(with: "warning closed", why)
            }
        }
    }

    @Test("When it dies, the requests that it had not read are refused, and the others fail")
    func dies() throws {
        let script = Script(
            "read -r word id text; echo answer $id $text; read -r line; read -r half; echo why >&2; kill -9 $$")
        try withServer("--exec-framing", "tagged", exec: script) { server in
            let peer = try server.open()
            try peer.send((UInt32(1)...5).flatMap { RawFrame.request($0, "a").bytes })
            #expect(try peer.take(.response).id == 1)
            for id in UInt32(2)...5 {
                let failure = try peer.take(.failure)
                #expect(failure.id == id && failure.notice?.code == (id < 4 ? .handlerFailed : .refused))
                if id < 4 { #expect(failure.notice?.words == "the program was killed by SIGKILL: why") }
            }
            #expect(try peer.takeClose().code == .handlerFailed)
            try server.log.line(with: "program ended", "request=2", "signal=SIGKILL")
        }
    }

    @Test(
        "A request that is late fails alone; a program that keeps its answers in a buffer is asked whether it flushes")
    func neverFlushes() throws {
        let program = """
            import sys
            for line in sys.stdin:
                if line.startswith("request "):
                    word, id, text = line.split(" ", 2)
                    print("answer", id, text, end="", flush="now" in text)
            """
        let lines = "import sys\nfor line in sys.stdin: print(line, end='', flush='now' in line)"
        let hint = "does it flush after each line? (stdbuf -oL)"
        for framing in ["tagged", "line"] {
            try withServer(
                "--handler-timeout", "1500ms", "--exec-framing", framing, "--exec", "env", "-u", "PYTHONUNBUFFERED",
                "python3", "-c", framing == "tagged" ? program : lines
            ) { server in
                let peer = try server.open()
                try peer.send(.request(1, "now"))
                _ = try peer.frames(upTo: .response)
                try peer.send(.request(2, "late"))
                let failure = try peer.frames(upTo: .failure).last
                let why = "no answer within 1.5 seconds, and the program waits for more input: \(hint)"
                #expect(failure?.id == 2 && failure?.notice?.words == why)
                try server.log.line(with: "warning program waits", "connection=1", "request=2", hint)
                guard framing == "tagged" else { return }
                // What comes out of the buffer with the next is no fault.
                try peer.send(.request(3, "now"))
                let answer = try peer.frames(upTo: .response).last
                #expect(answer?.id == 3 && answer?.text == "now")
            }
        }
    }
}
