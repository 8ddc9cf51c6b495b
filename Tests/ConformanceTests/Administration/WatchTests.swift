import Glibc
import Testing
import RawWire

extension Live.Administration.Control {
    private func watch(
        _ user: Operator, _ terminal: String, output: Spawned.Stream = .pipe, errors: Spawned.Stream = .pipe,
        _ more: String...
    ) throws -> Spawned {
        try Spawned(
            "server", ["ctl", "--control", user.control, "--watch", "connections"] + more,
            prefix: ["/usr/bin/env", "TERM=\(terminal)"], output: output, errors: errors)
    }

    @Test(
        "--watch shows who comes and goes on a screen of its own, and gives the terminal back",
        arguments: [SIGINT, SIGTERM])
    func watchScreen(_ signal: Int32) throws {
        try withOperator { server, user in
            let terminal = try Terminal()
            let watch = try watch(user, "xterm", output: .file(terminal.path))
            try terminal.wait(for: "\u{1B}[?1049h\u{1B}[?25l\u{1B}[H0 of 0 connections")
            let peer = try server.open(.hello(options: RawFrame.name("till-7")))
            try terminal.wait(for: "\u{1B}[H1 of 1 connections")
            try terminal.wait(for: "till-7")
            peer.close()
            try terminal.wait(for: "\u{1B}[H0 of 0 connections")
            watch.kill(signal)
            try terminal.wait(for: "\u{1B}[?25h\u{1B}[?1049l")
            #expect(try watch.wait() == .status(0))
        }
    }

    @Test("When the server ends, --watch gives the terminal back and ends with 69")
    func watchEnd() throws {
        try withControl { control in
            let terminal = try Terminal()
            let server = try ServerProcess(["--control", control])
            let watch = try watch(Operator(control: control), "xterm", output: .file(terminal.path))
            try terminal.wait(for: "0 of 0 connections")
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            try terminal.wait(for: "\u{1B}[?25h\u{1B}[?1049l")
            #expect(try watch.wait() == .status(69))
            #expect(watch.errors.textSoFar.contains("no server answers"))
        }
    }

    @Test(
        "Without a terminal, or with a dumb one, --watch writes the table again and again, without a command",
        arguments: [true, false])
    func watchBlocks(_ isDumb: Bool) throws {
        try withOperator { server, user in
            let peer = try server.open(.hello(options: RawFrame.name("till-7")))
            let terminal = try Terminal()
            let watch = try watch(user, isDumb ? "dumb" : "xterm", output: isDumb ? .file(terminal.path) : .pipe)
            for _ in 0..<2 {
                if isDumb {
                    try terminal.wait(for: "till-7")
                } else {
                    #expect(try watch.output.line().contains("PEER"))
                    #expect(try watch.output.line().contains("till-7"))
                    #expect(try watch.output.line().isEmpty)
                }
            }
            #expect(!terminal.text.contains("\u{1B}") && !watch.output.textSoFar.contains("\u{1B}"))
            watch.kill(SIGINT)
            #expect(try watch.wait() == .status(0))
            peer.close()
        }
    }

    @Test("--watch ends with 0 when nobody reads it any more")
    func watchPipe() throws {
        try withOperator { _, user in
            let reader = try Spawned(
                [
                    "/bin/sh", "-c", "\"$0\" ctl --control \"$1\" --watch connections | head -1",
                    "\(Spawned.products)/server", user.control,
                ])
            #expect(try reader.output.line().contains("PEER"))
            #expect(reader.output.waitForEnd())
            #expect(try reader.wait() == .status(0))
        }
    }

    @Test("--watch goes with connections alone")
    func watchOther() throws {
        try withOperator { _, user throws in
            #expect(try user.ctl("--watch", "status", status: 64).contains("--watch"))
        }
    }
}
