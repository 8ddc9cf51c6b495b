import Glibc
import RawWire
import Testing

/// A directory of its own for a test, which is removed with all that is in it.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/lifeline-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw systemError("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    /// What is in it.
    var names: [String] { ProcessFiles.entries(path) }

    /// The path of the file `name` in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    func text(_ name: String) -> String? { ProcessFiles.text(file(name)) }

    func write(_ name: String, _ text: String) throws {
        let descriptor = open(file(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw systemError("open") }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else { throw systemError("write") }
    }

    /// Waits for a line of the file `name` in which all of `parts` stand.
    @discardableResult
    func line(of name: String, with parts: String..., within limit: Duration = RawPeer.patience) throws -> String {
        var found: String?
        let isThere = eventually(within: limit) {
            found = (text(name) ?? "").split(separator: "\n").map(String.init).first { line in
                parts.allSatisfy { line.contains($0) }
            }
            return found != nil
        }
        guard isThere, let found else { throw Unexpected("no line with \(parts) in:\n\(text(name) ?? "no file")") }
        return found
    }
}

/// A prefix that runs `script`, in which "$@" is the command that it must become.
func shell(_ script: String) -> [String] { ["/bin/sh", "-c", script, "sh"] }

/// One request on a short connection, answered.
func expectAnswer(from address: Address, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let peer = try RawPeer.connect(to: address)
    try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
    try peer.takePreface()
    let types = try peer.frames(upTo: .close).map(\.type)
    #expect(types == [.welcome, .response, .close], sourceLocation: sourceLocation)
    try peer.takeEnd()
}

/// Whether the process is gone, reaped by somebody or not.
func hasGone(_ pid: pid_t) -> Bool { [nil, "Z"].contains(ProcessFiles.state(of: pid)) }

/// A server that went to the background: `server --daemon --port 0 --log log --pidfile pid`, in a directory of its own.
///
/// Unlike other servers it is no child of this process, so it is known by its pidfile.
func withDaemon(
    _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (pid_t, Address, TemporaryDirectory) throws -> Void
) throws {
    let directory = try TemporaryDirectory()
    let command = try Spawned(
        "server", ["--daemon", "--port", "0", "--log", "log", "--pidfile", "pid"] + arguments,
        prefix: shell("cd '\(directory.path)' && exec \"$@\""))
    let exit = try command.wait()
    guard exit == .status(0) else { throw Unexpected("\(exit): \(command.errors.textSoFar)") }
    // All is there when the command has returned: nothing is waited for.
    let text = directory.text("pid") ?? ""
    guard text.hasSuffix("\n"), let pid = pid_t(text.dropLast()) else { throw Unexpected("the pidfile says '\(text)'") }
    defer { if !hasGone(pid) { kill(pid, SIGKILL) } }
    let greeting = command.output.textSoFar
    guard greeting.hasPrefix("listening on "), let address = Address(greeting.dropFirst(13).dropLast()) else {
        throw Unexpected("the command said '\(greeting)'")
    }
    try body(pid, address, directory)
    kill(pid, SIGTERM)
    #expect(eventually { hasGone(pid) }, sourceLocation: sourceLocation)
    #expect(!directory.names.contains("pid"), "the pidfile is removed", sourceLocation: sourceLocation)
}

/// A socket that takes datagrams, as a supervisor or syslogd has one.
final class DatagramReceiver {
    private let descriptor: Int32

    /// One that begins with `@` is abstract.
    init(at path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        self.descriptor = OpenDescriptors.add(descriptor)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        if path.hasPrefix("@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard bound == 0 else { throw systemError("bind") }
    }

    deinit { OpenDescriptors.close(descriptor) }

    /// The next datagram, nil where none comes in time.
    func next(within limit: Duration = RawPeer.patience) -> String? {
        guard waitUntilReady(descriptor, POLLIN, until: SuspendingClock.now + limit) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    /// The next datagram in which `part` stands; all before it are thrown away.
    func next(with part: String, within limit: Duration = RawPeer.patience) throws -> String {
        let deadline = SuspendingClock.now + limit
        while let text = next(within: SuspendingClock.now.duration(to: deadline)) {
            if text.contains(part) { return text }
        }
        throw Unexpected("no datagram with '\(part)' within \(limit)")
    }
}
