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
    }
}
