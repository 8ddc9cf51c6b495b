/// An option that a restart alone changes: it stands for what a running server has, holds or is already.
///
/// A reload keeps what runs, and reports the flag of each that differs. All other options of `ServerOptions` are taken
/// over. The raw value is the flag of the `server` command.
package enum RestartOption: String, CaseIterable, Sendable {
    case host = "--host"
    case port = "--port"
    case listen = "--listen"
    case backlog = "--backlog"
    case user = "--user"
    case group = "--group"
    case maxConnections = "--max-connections"
    case pool = "--pool"
    case poolReuse = "--pool-reuse"
    case connectionsPerProcess = "--connections-per-process"
    case pidfile = "--pidfile"
    case readyDescriptor = "--ready-fd"
    case log = "--log"
    case control = "--control"
    case metrics = "--metrics"
    case tokenFromCN = "--token-from-cn"
    case topics = "--topics"
    case publishSocket = "--publish-socket"

    /// Puts the value of `running` into `options`. Returns whether it was another one there.
    func keep(in options: inout ServerOptions, from running: ServerOptions) -> Bool {
        func keep<Value: Equatable>(_ path: WritableKeyPath<ServerOptions, Value>) -> Bool {
            guard options[keyPath: path] != running[keyPath: path] else { return false }
            options[keyPath: path] = running[keyPath: path]
            return true
        }
        return switch self {
        case .host: keep(\.host)
        case .port: keep(\.port)
        case .listen: [keep(\.listen), keep(\.listensAtHost)].contains(true)
        case .backlog: keep(\.backlog)
        case .user: keep(\.user)
        case .group: keep(\.group)
        case .maxConnections: keep(\.maxConnections)
        case .pool: keep(\.pool)
        case .poolReuse: keep(\.poolReuse)
        case .connectionsPerProcess: keep(\.connectionsPerProcess)
        case .pidfile: keep(\.pidfile)
        case .readyDescriptor: keep(\.readyDescriptor)
        case .log: keep(\.log)
        case .control: keep(\.control)
        case .metrics: keep(\.metrics)
        case .tokenFromCN: keep(\.tokenFromCN)
        case .topics: keep(\.topics)
        case .publishSocket: keep(\.publishSocket)
        }
    }
}
