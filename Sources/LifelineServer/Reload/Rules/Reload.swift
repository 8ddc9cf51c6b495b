/// Why a configuration cannot be taken over; everything stays as it was.
public struct ReloadError: Error, CustomStringConvertible, Sendable {
    /// A sentence for the log.
    public let description: String

    /// An error with this text.
    public init(_ description: String) { self.description = description }
}

extension ServerOptions {
    /// These options as far as a server that runs with those of `running` can take them over, and the flags of those
    /// that it cannot: they stand for what it has, holds or is already.
    func takenOver(by running: ServerOptions) -> (options: ServerOptions, kept: [String]) {
        var options = self
        var kept: [String] = []
        func keep<Value: Equatable>(_ path: WritableKeyPath<ServerOptions, Value>, _ flag: String) {
            guard options[keyPath: path] != running[keyPath: path] else { return }
            options[keyPath: path] = running[keyPath: path]
            kept.append(flag)
        }
        keep(\.host, "--host")
        keep(\.port, "--port")
        keep(\.backlog, "--backlog")
        keep(\.user, "--user")
        keep(\.group, "--group")
        keep(\.maxConnections, "--max-connections")
        keep(\.pool, "--pool")
        keep(\.poolReuse, "--pool-reuse")
        keep(\.pidfile, "--pidfile")
        keep(\.readyDescriptor, "--ready-fd")
        keep(\.log, "--log")
        keep(\.control, "--control")
        keep(\.metrics, "--metrics")
        return (options, kept)
    }
}
