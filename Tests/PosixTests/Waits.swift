import Basics
import Glibc
import Testing

@testable import Posix

/// A path that no other test has.
func uniquePath(_ name: String) -> String { "/tmp/lifeline-\(name)-\(getpid())-\(UInt64.random(in: 0 ... .max))" }

/// An instant that has passed: whoever waits until then looks once.
let past = Instant(sinceStart: .zero)

/// A listener on a free port of the loopback interface.
func loopbackListener() throws -> Descriptor {
    try .listening(at: SocketAddress(host: "127.0.0.1", port: 0)!, backlog: 8)
}
