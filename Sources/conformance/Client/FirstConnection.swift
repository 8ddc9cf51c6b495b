import RawWire

/// Starts the client under test once, before its cases: one that never connects would cost each of them all its
/// patience.
enum FirstConnection {
    /// Throws why the client is not worth its cases: it cannot be started, ends before it connects, or does not connect.
    // Not throws(Unexpected): with optimisation the compiler (6.3.1) makes broken code of it, and stops.
    static func check(_ bench: ClientBench) throws {
        let client: Spawned
        do {
            client = try bench.start(.long, errors: .pipe)
        } catch {
            throw Unexpected("it cannot be started: \(error)")
        }
        // Some clients connect for the first request alone. One that has ended reads none.
        try? bench.ask("hello")
        let deadline = SuspendingClock.now + RawPeer.patience
        while true {
            if let peer = try? bench.acceptIfAny(within: .milliseconds(50)) {
                peer.close()
                break
            }
            if let exit = try? client.wait(within: .zero) {
                _ = client.errors.waitForEnd(within: .milliseconds(200))
                let said = client.errors.linesSoFar.last.map { ", and said last: \($0)" } ?? ""
                throw Unexpected("it ended with \(exit) before it connected\(said)")
            }
            guard SuspendingClock.now < deadline else {
                try? bench.end()
                throw Unexpected("it did not connect within \(RawPeer.patience)")
            }
        }
        try? bench.end()
    }
}
