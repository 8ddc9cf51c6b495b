import Glibc
import RawWire
import Testing

extension Live.Logging {
    /// Logs that go to what is open already, and to a syslogd on a stream socket.
    @Suite("Descriptors and streams") struct LogDescriptors {}
}

extension Live.Logging.LogDescriptors {
    /// Runs the command behind it with descriptor 9 at standard error.
    private static let ninth = ["/bin/sh", "-c", "exec \"$@\" 9>&2", "sh"]

    @Test(
        "A path that names a descriptor is that descriptor, also where it is a socket that open(2) refuses",
        arguments: [
            "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2", "/proc/self/../self/fd/2", "/dev/fd/9", "LINK",
        ])
    func descriptors(_ path: String) throws {
        let link = try TemporaryFile()
        unlink(link.path)
        try #require(symlink("/dev/stderr", link.path) == 0)
        for isSocket in [true, false] {
            var ends: [Int32] = [-1, -1]
            let made = isSocket ? socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) : pipe(&ends)
            try #require(made == 0)
            defer { close(ends[0]) }
            let server = try Spawned(
                "server", ["--port", "0", "--log", path == "LINK" ? link.path : path],
                prefix: Live.Logging.LogDescriptors.ninth, errors: .descriptor(ends[1]))
            close(ends[1])
            _ = try server.output.line(with: "listening on ")
            server.kill(SIGTERM)
            #expect(try server.wait() == .status(0))
            let text = try readAll(ends[0])
            #expect(text.contains(" listening address=") && text.contains(" stopped "), "\(path): \(text)")
        }
    }

    private func readAll(_ number: Int32) throws -> String {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(number, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += buffer[..<count]
        }
    }

    @Test(
        "A descriptor that is not open, and one that a daemon does not keep, ends the start with status 64",
        arguments: [
            ["--log", "/dev/fd/77"], ["--daemon", "--log", "/dev/stderr"], ["--daemon", "--log", "/dev/fd/1"],
        ])
    func refused(_ arguments: [String]) throws {
        let server = try Spawned("server", ["--port", "0"] + arguments)
        defer { server.kill(SIGKILL) }
        #expect(try server.wait() == .status(64))
        #expect(server.errors.textSoFar.contains(arguments.last ?? ""))
    }

    @Test("--log syslog:SOCKET sends a line to a stream socket too, and connects to it anew")
    func stream() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("log")
        var syslogd: StreamReceiver? = try StreamReceiver(at: path)
        try withServer("--log", "syslog:\(path)") { server in
            let first = try #require(syslogd).accept()
            #expect(try first.line(with: "<30>").contains(": info listening address="))
            server.process.kill(SIGHUP)
            #expect(try first.line(with: "info reloaded").hasPrefix("<30>"))
        }
        syslogd = nil
        unlink(path)
        let again = try StreamReceiver(at: path)
        // Not `withServer`: the descriptor is another one afterwards.
        let server = try Spawned("server", ["--port", "0", "--log", "syslog:\(path)"])
        defer { server.kill(SIGKILL) }
        var old: PipeReader? = try again.accept()
        try old?.line(with: "listening")
        old = nil
        server.kill(SIGHUP)
        let new = try again.accept()
        try new.line(with: "info reloaded")
        server.kill(SIGTERM)
        #expect(try server.wait() == .status(0))
        try new.line(with: "stopped")
        unlink(path)
    }
}

/// A syslogd on a stream socket of a test.
private final class StreamReceiver {
    private let descriptor: Int32

    init(at path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        self.descriptor = OpenDescriptors.add(descriptor)
        guard Address.unix(path).withSockaddr({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, 8) == 0 else {
            throw systemError("listen")
        }
    }

    deinit { OpenDescriptors.close(descriptor) }

    /// The next connection, read by lines.
    func accept() throws -> PipeReader {
        guard waitUntilReady(descriptor, POLLIN, until: SuspendingClock.now + RawPeer.patience) else {
            throw Unexpected("nobody connected")
        }
        return PipeReader(try OpenDescriptors.accept(descriptor))
    }
}
