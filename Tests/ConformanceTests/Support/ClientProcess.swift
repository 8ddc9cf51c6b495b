import Glibc
import Testing
import RawWire

/// Runs `body` with a raw server and the built `client` that is told to connect to it, and checks afterwards that the
/// test leaves neither a process nor a descriptor behind.
func withClient(
    _ arguments: String..., input: Spawned.Stream = .null, output: Spawned.Stream = .pipe, isNarrow: Bool = false,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: (RawListener, Spawned) throws -> Void
) throws {
    let before = OpenDescriptors.count
    do {
        let listener = try RawListener(isNarrow: isNarrow)
        let client = try startClient(arguments, port: listener.address.port ?? 0, input: input, output: output)
        try tellingErrors(of: client) { try body(listener, client) }
    }
    #expect(OpenDescriptors.count == before, "the test leaks a descriptor", sourceLocation: sourceLocation)
}

/// Starts the built `client`, told to connect to `port`.
func startClient(
    _ arguments: [String], host: String = "127.0.0.1", port: UInt16, input: Spawned.Stream = .null,
    output: Spawned.Stream = .pipe, errors: Spawned.Stream = .pipe
) throws -> Spawned {
    try Spawned(
        "client", ["--host", host, "--port", "\(port)"] + arguments, input: input, output: output, errors: errors)
}

/// Adds what the client said to the error of a test that failed; the client is ended in any case.
func tellingErrors<Value>(of client: Spawned, _ body: () throws -> Value) throws -> Value {
    do {
        let value = try body()
        client.kill(SIGKILL)
        try client.wait()
        return value
    } catch {
        client.kill(SIGKILL)
        throw Unexpected("\(error)\nThe client wrote:\n\(client.output.textSoFar)\n\(client.errors.textSoFar)")
    }
}

extension Spawned {
    /// Waits for the end, which must have this status.
    func expectStatus(
        _ status: Int32, within limit: Duration = RawPeer.patience, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let exit = try wait(within: limit)
        _ = output.waitForEnd()
        _ = errors.waitForEnd()
        #expect(exit == .status(status), "\(errors.textSoFar)", sourceLocation: sourceLocation)
    }
}

/// A file that is there for one test.
final class TemporaryFile {
    let path: String

    init(_ bytes: [UInt8] = []) throws {
        var template = Array("/tmp/lifeline-test-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw systemError("mkstemp") }
        defer { close(descriptor) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw systemError("write") }
            rest = rest.dropFirst(count)
        }
    }

    deinit { unlink(path) }

    var bytes: [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { return all }
            all += buffer.prefix(count)
        }
    }
}
