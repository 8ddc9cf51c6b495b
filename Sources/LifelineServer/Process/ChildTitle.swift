import Posix

/// What `ps` shows for a child: `lifeline: 192.0.2.7:51234 idle`.
struct ChildTitle {
    private let title: ProcessTitle?
    private let start: [UInt8]
    private var shown: ConnectionState?

    init(_ title: ProcessTitle?, peer: String) {
        self.title = title
        start = title == nil ? [] : Array("lifeline: \(peer) ".utf8)
    }

    /// The connection is in this state now; nothing is written where that is no news.
    mutating func show(_ state: ConnectionState) {
        guard let title, state != shown else { return }
        title.set(start + state.name.utf8, from: shown == nil ? 0 : start.count)
        shown = state
    }
}
