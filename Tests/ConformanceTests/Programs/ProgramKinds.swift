import Glibc
import RawWire
import Testing

extension Live.Programs {
    /// Kinds of programs that people write: a new kind is a line of a table.
    @Suite("Programs as people write them") struct ProgramKinds {}
}

/// A program of a shell, and what three requests that come at once, `a`, `b` and `c`, get of it.
struct ProgramKind: CustomTestStringConvertible, Sendable {
    let text: String
    var answers = ["A a", "A b", "A c"]
    var messages: [String] = []
    /// The code of the FAILURE of the first request that has no answer.
    var failure: RawCode?
    var close: RawCode?

    var testDescription: String { text }

    static let kinds = [
        ProgramKind(text: "echo hi; while read -r l; do echo A $l; done", messages: ["hi"]),
        ProgramKind(text: "printf 'one\\ntwo\\n'; while read -r l; do echo A $l; done", messages: ["one", "two"]),
        ProgramKind(text: "sleep 0.3; echo hi; while read -r l; do echo A $l; done", messages: ["hi"]),
        ProgramKind(text: "echo hi; sleep 0.3; echo ho; exec sed -u 's/^/A /'", messages: ["hi", "ho"]),
        ProgramKind(text: "while read -r l; do echo A $l; echo more; done", messages: ["more", "more"]),
        ProgramKind(text: "while read -r l; do echo A $l; sleep 0.1; echo more; done", messages: ["more", "more"]),
        ProgramKind(
            text: "printf '> '; while read -r l; do echo A $l; printf '> '; done", messages: ["> ", "> ", "> "]),
        ProgramKind(text: "cat | sed -u 's/^/A /'"),
        ProgramKind(text: "sed -u 's/^/A /' | cat"),
        ProgramKind(text: "exec 3<&0 </dev/null; while read -r l <&3; do echo A $l; done"),
        ProgramKind(text: "read -r l; echo A $l; exit 0", answers: ["A a"], failure: .refused, close: .normal),
        ProgramKind(text: "read -r l; printf 'A a'", answers: ["A a"], failure: .refused, close: .normal),
        ProgramKind(text: "read -r l; echo A $l; exit 3", answers: ["A a"], failure: .refused, close: .handlerFailed),
        ProgramKind(
            text: "read -r l; printf 'A a'; exit 3", answers: [], failure: .handlerFailed, close: .handlerFailed),
        ProgramKind(
            text: "read -r l; printf 'A a'; kill -9 $$", answers: [], failure: .handlerFailed, close: .handlerFailed),
        ProgramKind(text: "read -r l; exit 0", answers: [], failure: .handlerFailed, close: .handlerFailed),
        ProgramKind(text: "printf fortune", answers: [], messages: ["fortune"], failure: .handlerFailed),
        ProgramKind(text: "exit 127", answers: [], failure: .handlerFailed),
        ProgramKind(text: ":", answers: [], failure: .handlerFailed),
    ]
}

extension Live.Programs.ProgramKinds {
    @Test("Answers never shift, and nothing is lost that was promised", arguments: ProgramKind.kinds)
    func kinds(_ kind: ProgramKind) throws {
        try withServer("--shell", "--exec", kind.text) { server in
            let peer = try server.open()
            try peer.send((1...3).flatMap { RawFrame.request(UInt32($0), ["a", "b", "c"][$0 - 1]).bytes })
            var answers: [String] = [], messages: [String] = []
            var failure: RawCode?
            var last: RawFrame?
            while answers.count < 3, failure == nil, last == nil {
                let frame = try peer.takeFrame()
                switch frame.type {
                case .close: last = frame
                case .response:
                    answers.append(frame.text)
                    #expect(frame.id == UInt32(answers.count))
                case .message: messages.append(frame.text)
                case .failure:
                    failure = frame.notice?.code
                    #expect(frame.id == UInt32(answers.count + 1))
                case .ping: break
                default: throw Unexpected("\(frame)")
                }
            }
            // A request that was not dispatched yet is refused by last_id alone.
            if let notice = last?.notice, failure == nil, notice.lastID == UInt32(answers.count) { failure = .refused }
            // What was said behind the last answer is on its way, or lost with the connection.
            #expect(answers == kind.answers && failure == kind.failure, "\(answers), \(String(describing: failure))")
            #expect(messages.prefix(kind.messages.count) == kind.messages[...], "\(messages)")
            if let close = kind.close {
                let notice = try last?.notice ?? peer.takeClose()
                #expect(notice.code == close && notice.lastID <= UInt32(answers.count + 1))
            } else if failure != nil {
                // The others fail too: they would fare no better on another connection.
                for id: UInt32 in 2...3 {
                    let other = try peer.take(.failure)
                    #expect(other.id == id)
                }
            }
        }
    }

    @Test("`seq 4 | client` gets four answers of a program that gives one and ends in order")
    func oneEach() throws {
        try withServer("--exec", "head", "-n", "1") { server in
            let client = try Spawned(
                "client", ["--port", "\(server.port)"], prefix: ["sh", "-c", "seq 4 | \"$@\"", "sh"])
            #expect(try client.wait(within: .seconds(20)) == .status(0))
            #expect(client.output.textSoFar == (1...4).map { "\($0)\n" }.joined())
        }
    }
}

// MARK: Files that cannot run

extension Live.Programs.ProgramKinds {
    /// The beginning of a file, and what the server says of it; nil where it runs and answers with its request.
    static let files: [(String, String?)] = [
        ("while read -r l; do echo $l; done\n", nil), ("# comment\nexec cat\n", nil), ("#!/bin/sh\nexec cat\n", nil),
        ("#! /usr/bin/env sh\nexec cat\n", nil), ("#!/usr/bin/env -S sh -e\nexec cat\n", nil),
        ("", "it is empty"), ("#!/bin/sh\r\nexec cat\r\n", "'/bin/sh'"), ("exec cat\r\n", "line ends of Unix"),
        ("#!/no/such/shell\n", "'/no/such/shell'"), ("#!/usr/bin/env no-such-program\n", "'no-such-program'"),
        ("#!/tmp\n", "'/tmp'"), ("#!\n", "no interpreter"), ("\u{FEFF}#!/bin/sh\nexec cat\n", "byte order mark"),
        ("\u{0}\u{1}", "neither a program nor a script"), ("\u{7F}ELF", "damaged"),
    ]

    @Test("A file that cannot run keeps the server from starting, with the reason", arguments: files)
    func file(_ text: String, _ words: String?) throws {
        let path = "/tmp/lifeline-file-\(getpid())-\(Int.random(in: 0..<1_000_000))"
        try write(text, to: path)
        defer { unlink(path) }
        if let words {
            for flags in [["--exec", path], ["--check", "--exec", path]] {
                let server = try Spawned("server", ["--port", "0"] + flags)
                defer { server.kill(SIGKILL) }
                #expect(try server.wait() == .status(69))
                #expect(server.errors.textSoFar.hasPrefix("server: cannot start the program '\(path)': it "))
                #expect(server.errors.textSoFar.contains(words), "\(server.errors.textSoFar)")
            }
        } else {
            try withServer("--exec", path) { server in
                let answers = try server.open().answers(to: ["x", "y"])
                #expect(answers == ["x", "y"])
            }
        }
    }

    /// How a good file becomes bad, and what the log says then.
    static let changes = ["empty", "interpreter", "mode", "removed"]

    @Test(
        "A program that floods its client with short lines holds up no heartbeat, and ends with the server",
        arguments: ["exec yes", "while read -r l; do echo A $l; yes | head -n 100000; done"])
    func floods(_ text: String) throws {
        try withServer("--shell", "--exec", text) { server in
            let peer = try server.open()
            try peer.send(.request(1, "a"))
            for nonce in 1...10 as ClosedRange<UInt64> {
                let start = SuspendingClock.now
                try peer.send(.ping(nonce))
                while try peer.takeFrame().pong?.nonce != nonce {}
                #expect(start.age < .seconds(5))
            }
            peer.close()
            let start = SuspendingClock.now
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            #expect(start.age < .seconds(8), "it would be killed after 10 s")
        }
    }

    @Test("A file that becomes bad later fails each request with the reason in the log", arguments: changes)
    func becomesBad(_ change: String) throws {
        let path = "/tmp/lifeline-file-\(getpid())-\(change)"
        try write("#!/bin/sh\nexec cat\n", to: path)
        defer { unlink(path) }
        try withServer("--exec", path) { server in
            let answers = try server.open().answers(to: ["x"])
            #expect(answers == ["x"])
            switch change {
            case "empty": truncate(path, 0)
            case "interpreter": try write("#!/no/such/shell\n", to: path)
            case "mode": chmod(path, 0o600)
            default: unlink(path)
            }
            let client = try Spawned("client", ["--port", "\(server.port)", "a", "b"])
            defer { client.kill(SIGKILL) }
            #expect(try client.wait(within: .seconds(10)) == .status(70))
            #expect(client.errors.textSoFar.contains("message 2, \"b\": FAILED: HANDLER_FAILED"))
            guard change != "empty" else { return }
            try server.log.line(with: "program failed", change == "interpreter" ? "'/no/such/shell'" : path)
        }
    }

    private func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        guard file >= 0 else { throw Unexpected("cannot write \(path)") }
        _ = text.withCString { Glibc.write(file, $0, text.utf8.count) }
        close(file)
    }
}
