import Posix

/// What `ps` shows for a child: `lifeline: 192.0.2.7:51234 idle`.
struct ChildTitle {
    private let title: ProcessTitle?
    private let start: String
    private var shown: ConnectionState?

    init(_ title: ProcessTitle?, peer: SocketAddress) {
        self.title = title
        start = title == nil ? "" : "lifeline: \(peer.description) "
    }

    /// The connection is in this state now; nothing is written where that is no news.
    mutating func show(_ state: ConnectionState) {
        guard let title, state != shown else { return }
        if shown == nil { title.set(start) }
        title.set(state.name, behind: start.utf8.count)
        shown = state
    }
}
