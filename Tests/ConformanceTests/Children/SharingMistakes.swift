import RawWire
import Testing

extension Live.Children {
    /// What `--connections-per-process` does not go with.
    @Suite("--connections-per-process, refused") struct SharingMistakes {}
}

extension Live.Children.SharingMistakes {
    @Test(
        "What cannot be is refused with status 64 and a sentence",
        arguments: [
            (["--connections-per-process", "0"], "not a whole number"),
            (["--connections-per-process", "some"], "not a whole number"),
            (["--handler-threads", "0"], "not a whole number"),
            (["--connections-per-process", "2", "--exec", "cat"], "--exec exclude each other: a program is a process"),
            (["--connections-per-process", "2", "--max-cpu", "1"], "--max-cpu exclude each other: the system counts"),
            (
                ["--connections-per-process", "2", "--pool", "2", "--pool-reuse", "2"],
                "--pool-reuse exclude each other: a shared process serves"
            ),
        ])
    func mistakes(_ arguments: [String], _ text: String) throws {
        let server = try Spawned("server", ["--port", "0"] + arguments)
        #expect(try server.wait() == .status(64))
        #expect(server.errors.waitForEnd() && server.errors.textSoFar.contains(text), "\(server.errors.textSoFar)")
    }

    @Test("A handler that does not say that it may share is none for more than one")
    func lonely() throws {
        let server = try Spawned("handlers", ["--port", "0", "--lonely", "--connections-per-process", "2"])
        #expect(try server.wait() == .status(1))
        #expect(server.errors.waitForEnd())
        let text = server.errors.textSoFar
        #expect(text.contains("--connections-per-process 2 is not possible") && text.contains("Handler.mayShare"))
        try withServer("--lonely", "--connections-per-process", "1", command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "alone"))
            #expect(try peer.takeFrame().text == "alone")
            peer.close()
        }
    }

    @Test("--help has both flags, with their defaults")
    func help() throws {
        let help = try Spawned("server", ["--help"])
        #expect(try help.wait() == .status(0) && help.output.waitForEnd())
        let lines = help.output.textSoFar.split(separator: "\n")
        for (flag, value) in [("--connections-per-process K", "1"), ("--handler-threads N", "64")] {
            let index = try #require(lines.firstIndex { $0.contains(flag) })
            let about = lines[index...].prefix(3).joined(separator: " ")
            #expect(about.contains("default \(value)") || about.contains("(\(value))"), "\(about)")
        }
    }
}
