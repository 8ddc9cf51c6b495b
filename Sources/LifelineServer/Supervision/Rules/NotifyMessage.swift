/// A message to the supervisor, as sd_notify(3) writes it: `NAME=value`, a line each.
enum NotifyMessage {
    case ready(address: String)
    case serving(connections: Int)
    /// The configuration is read again; READY follows. The instant is CLOCK_MONOTONIC's.
    case reloading(at: Duration)
    case stopping(connections: Int)
    case alive

    var text: String {
        switch self {
        case .ready(let address): "READY=1\nSTATUS=listening on \(address)"
        case .serving(let connections): "STATUS=serving \(count(connections))"
        case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(Int(time / .microseconds(1)))"
        case .stopping(let connections): "STOPPING=1\nSTATUS=stopping, \(count(connections)) left"
        case .alive: "WATCHDOG=1"
        }
    }

    private func count(_ connections: Int) -> String {
        connections == 1 ? "1 connection" : "\(connections) connections"
    }
}

/// Reads what a supervisor says in the environment of a process.
enum ServiceEnvironment {
    /// WATCHDOG_USEC, meant for the process WATCHDOG_PID if that is said; nil where this process is not meant.
    static func watchdog(microseconds: String?, pid: String?, own: Int32) -> Duration? {
        guard let microseconds = microseconds.flatMap({ UInt64($0) }), microseconds > 0,
            microseconds < UInt64(Int64.max)
        else { return nil }
        guard pid == nil || pid == "\(own)" else { return nil }
        return .microseconds(Int64(microseconds))
    }

    /// How many descriptors are handed over from number 3 on (LISTEN_FDS), if this process is meant (LISTEN_PID).
    static func listeners(count: String?, pid: String?, own: Int32) -> Int {
        guard pid == "\(own)", let count = count.flatMap({ Int($0) }) else { return 0 }
        return max(0, count)
    }
}
