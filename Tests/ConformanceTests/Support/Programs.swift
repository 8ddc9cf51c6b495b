import Glibc
import Testing
import RawWire

/// A script for /bin/sh, whose processes are known by a word that no other process has.
struct Script {
    /// Its `$0`; a number of seconds too, for a `sleep` that is known by it.
    let word: String
    let command: [String]

    init(_ text: String) {
        word = "1\(getpid())\(Int.random(in: 1000...9999))"
        command = ["/bin/sh", "-c", text, word]
    }

    /// Those that run it, without the server, on whose command line it stands.
    var processes: [pid_t] { ProcessFiles.processes(with: word, without: "--exec") }

    /// Those too that it started as `sleep 1000$0`.
    var family: [pid_t] { processes + ProcessFiles.processes(with: "1000\(word)", without: "--exec") }

    func waitForProcesses(_ count: Int, within limit: Duration = RawPeer.patience) throws {
        var found: [pid_t] = []
        let isSo = eventually(within: limit) {
            found = processes
            return found.count == count
        }
        guard isSo else { throw Unexpected("expected \(count) processes of the program, there are \(found)") }
    }
}

/// Runs `body` with a server for `script`, and checks that neither it nor its programs leave anything behind.
func withServer(
    _ arguments: String..., exec script: Script, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (ServerProcess) throws -> Void
) throws {
    defer { for pid in script.family { kill(pid, SIGKILL) } }
    try withServer(arguments + ["--exec"] + script.command, sourceLocation: sourceLocation, body)
    #expect(eventually { script.family.isEmpty }, "programs are left", sourceLocation: sourceLocation)
}

extension RawPeer {
    /// The answers to requests 1, 2, …, each sent when the one before was answered.
    func answers(to requests: [String]) throws -> [String] {
        try requests.enumerated().map { index, text in
            try send(.request(UInt32(index + 1), text))
            // A server may send a PING at any time: it was late, or a signal told it that the machine was suspended.
            let frames = try frames(upTo: .response)
            if let other = frames.first(where: { $0.type != .ping && $0.type != .response }) {
                throw Unexpected("expected RESPONSE, got \(other)")
            }
            return frames.last?.text ?? ""
        }
    }
}

extension Notice {
    /// Its text for a person.
    var words: String { String(decoding: text, as: UTF8.self) }
}
