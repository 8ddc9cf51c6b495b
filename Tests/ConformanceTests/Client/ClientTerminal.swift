import Glibc
import Testing
import RawWire

extension Live.Client {
    /// The command `client` in a terminal.
    @Suite("Client: in a terminal") struct ClientTerminal {
        private func inTerminal(
            _ arguments: [String] = [], port: UInt16, _ body: (Terminal, Spawned) throws -> Void
        ) throws {
            let terminal = try Terminal()
            let client = try startClient(
                arguments, port: port, input: .file(terminal.path), errors: .file(terminal.path))
            do {
                try body(terminal, client)
                try client.expectStatus(0)
            } catch {
                client.kill(SIGKILL)
                throw Unexpected("\(error); the screen shows \(terminal.text.debugDescription)")
            }
        }

        @Test("It prompts, answers each line, sends no empty one, and 'quit' leaves")
        func quit() throws {
            try withServer { server in
                try inTerminal(port: server.port) { terminal, client in
                    try terminal.wait(for: "> ")
                    terminal.type("hello\n")
                    #expect(try client.output.line() == "hello")
                    try terminal.wait(for: "> ")
                    terminal.type("\n")
                    try terminal.wait(for: "> ")
                    terminal.type("quit\n")
                    try client.wait()
                    #expect(client.output.textSoFar == "hello\n")
                }
                try server.log.line(with: "closed", "requests=1")
            }
        }

        @Test("Ctrl-D leaves")
        func endOfInput() throws {
            try withServer { server in
                try inTerminal(port: server.port) { terminal, client in
                    try terminal.wait(for: "> ")
                    terminal.type("\u{04}")
                    try client.wait()
                    #expect(client.output.textSoFar == "")
                }
            }
        }

        @Test("The heart beats while the command waits for a line, and notices keep the prompt")
        func heartbeats() throws {
            try withServer("--timeout", "300ms") { server in
                try inTerminal(["--verbose"], port: server.port) { terminal, client in
                    try terminal.wait(for: "> ")
                    let child = try server.onlyChild()
                    for _ in 0..<8 {
                        try terminal.wait(for: "round trip")
                        try terminal.wait(for: "> ")
                    }
                    terminal.type("still here\n")
                    #expect(try client.output.line() == "still here")
                    #expect(try server.onlyChild() == child)
                    terminal.type("quit\n")
                    try client.wait()
                }
            }
        }

        @Test("A server that goes away while it waits for a line is told at once, and the next line is answered")
        func comesBack() throws {
            try withServer { server in
                try inTerminal(port: server.port) { terminal, client in
                    try terminal.wait(for: "> ")
                    let child = try server.onlyChild()
                    kill(child, SIGKILL)
                    try terminal.wait(for: "connection lost")
                    try terminal.wait(for: "connected again")
                    terminal.type("again\n")
                    #expect(try client.output.line() == "again")
                    #expect(try server.onlyChild() != child)
                    terminal.type("quit\n")
                    try client.wait()
                }
            }
        }

        @Test("A notice stands above the line that is being typed, which stays in view and is sent as it was typed")
        func typing() throws {
            try withRaw { terminal, client, peer in
                terminal.type("half a li")
                try terminal.wait(for: "half a li")
                try peer.send(.message(Array("news".utf8)))
                try terminal.wait(for: "\r\u{1B}[Kclient: message: news")
                try terminal.wait(for: "> half a li")
                terminal.type("\u{7F}\u{7F}\u{7F}\u{7F}grün\u{7F}\n")
                #expect(try peer.echo().text == "half grü")
                #expect(try client.output.line() == "half grü")
                try terminal.wait(for: "> ")
                // What is typed while an answer is awaited is not lost.
                terminal.type("one\ntwo\n")
                #expect(try peer.echo().text == "one")
                #expect(try peer.echo().text == "two")
                terminal.type("\u{1B}[Aquit\u{17}\u{15}\u{04}")
                try peer.seeOff(lastID: 3)
                try client.expectStatus(0)
            }
        }

        /// Whether the terminal edits lines by itself, and shows what is typed.
        private func isCooked(_ terminal: Terminal) -> Bool {
            var mode = termios()
            let descriptor = open(terminal.path, O_RDWR | O_NOCTTY | O_CLOEXEC)
            defer { close(descriptor) }
            return tcgetattr(descriptor, &mode) == 0 && mode.c_lflag & UInt32(ICANON) != 0
                && mode.c_lflag & UInt32(ECHO) != 0
        }

        @Test(
            "However the command ends, the terminal has its own mode again",
            arguments: ["quit", "end", "kicked", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGSEGV", "SIGABRT"])
        func mode(_ how: String) throws {
            try withRaw { terminal, client, peer in
                #expect(!isCooked(terminal))
                let signals = [
                    "SIGTERM": SIGTERM, "SIGHUP": SIGHUP, "SIGINT": SIGINT, "SIGQUIT": SIGQUIT, "SIGSEGV": SIGSEGV,
                    "SIGABRT": SIGABRT,
                ]
                if let signal = signals[how] {
                    client.kill(signal)
                    #expect(try client.wait() == .signal(signal))
                } else if how == "kicked" {
                    try peer.send(.close(.kicked, "out"))
                    try peer.takeDrop(.normal)
                    try client.expectStatus(77)
                } else {
                    terminal.type(how == "quit" ? "quit\n" : "\u{04}")
                    try peer.seeOff()
                    try client.expectStatus(0)
                }
                #expect(isCooked(terminal))
            }
        }

        /// Whether SIGTSTP stops a process of this process group: of an orphaned one it does not (POSIX, 2.4.3).
        private static let canStop: Bool = {
            guard let sleeper = try? Spawned(["sleep", "60"]) else { return false }
            sleeper.kill(SIGTSTP)
            defer { sleeper.kill(SIGKILL) }
            return eventually(within: .milliseconds(500)) { ProcessFiles.state(of: sleeper.pid) == "T" }
        }()

        @Test(
            "A command that is stopped gives the terminal back, and edits again when it goes on", .enabled(if: canStop))
        func stopped() throws {
            try withRaw { terminal, client, peer in
                terminal.type("half")
                try terminal.wait(for: "half")
                client.kill(SIGTSTP)
                #expect(eventually { ProcessFiles.state(of: client.pid) == "T" })
                #expect(isCooked(terminal))
                client.kill(SIGCONT)
                try terminal.wait(for: "> half")
                #expect(eventually { !isCooked(terminal) })
                terminal.type(" and half\n")
                #expect(try peer.echo().text == "half and half")
                terminal.type("\u{04}")
                try peer.seeOff(lastID: 1)
                try client.expectStatus(0)
            }
        }

        /// The client in a terminal, connected to a raw server, once it prompts.
        private func withRaw(_ body: (Terminal, Spawned, RawPeer) throws -> Void) throws {
            let terminal = try Terminal()
            let listener = try RawListener()
            let client = try startClient(
                [], port: listener.address.port ?? 0, input: .file(terminal.path), errors: .file(terminal.path))
            do {
                let peer = try listener.accept()
                try peer.greet()
                try terminal.wait(for: "> ")
                try body(terminal, client, peer)
                client.kill(SIGKILL)
            } catch {
                client.kill(SIGKILL)
                throw Unexpected("\(error); the screen shows \(terminal.text.debugDescription)")
            }
        }
    }
}
