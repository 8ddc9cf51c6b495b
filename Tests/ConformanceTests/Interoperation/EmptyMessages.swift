import Glibc
import RawWire
import Testing

extension Live.Interoperation {
    /// Protocol.md, 5.10-2, as the server keeps to it: empty messages of a handler or a program that come all at once.
    @Suite("Client and server: empty messages") struct EmptyMessages {
        /// More than the client's bucket holds. A token comes each 167 ms.
        private static let count = 26
        private static let program =
            "i=0; while [ $i -lt \(count) ]; do echo; i=$((i + 1)); done; echo the last; exec cat"

        @Test("5.10-2 The blank lines of a program are held back, and our client keeps the connection")
        func program() throws {
            try withServer("--timeout", "1", exec: Script(EmptyMessages.program)) { server in
                try expectKept(by: server)
            }
        }

        @Test("5.10-2 The empty messages of a handler are held back too", arguments: [[], ["--at-once"]])
        func handler(_ flags: [String]) throws {
            try withServer(["--timeout", "1"] + flags, command: "handlers") { server in
                try expectKept(by: server, "blank \(EmptyMessages.count)")
            }
        }

        private func expectKept(by server: ServerProcess, _ requests: String...) throws {
            let client = try startClient(["--hold", "20", "--retries", "0"] + requests, port: server.port)
            try tellingErrors(of: client) {
                try client.errors.line(with: "message: the last")
                let empty = client.errors.linesSoFar.count { $0.hasSuffix("message: ") || $0.hasSuffix("message:") }
                #expect(empty == EmptyMessages.count, "in order, and none is lost: \(client.errors.textSoFar)")
            }
            // It was killed: whoever had dropped the other would have said so before.
            #expect(!server.log.textSoFar.contains("TOO_MANY_PINGS"))
        }

        @Test("What is not paid for when the connection ends is lost, and the log says how much")
        func unpaid() throws {
            let script = Script("i=0; while [ $i -lt 40 ]; do echo; i=$((i + 1)); done; echo the last")
            try withServer(exec: script) { server in
                let peer = try server.open()
                let frames = try peer.frames(upTo: .close)
                #expect(frames.last?.notice?.code == .normal)
                let messages = frames.filter { $0.type == .message }.map(\.text)
                #expect(messages == [String](repeating: "", count: 12) + ["the last"])
                try server.log.line(with: "discarded", "28 empty messages")
            }
        }
    }
}
