import Basics
import Framing
import Posix

/// What `ps` shows for a child: `lifeline: 192.0.2.7:51234 idle`.
struct ChildTitle {
    private let title: ProcessTitle?
    private let peer: SocketAddress
    /// Where the state stands.
    private var offset = 0
    private var shown: ConnectionActivity?

    init(_ title: ProcessTitle?, peer: SocketAddress) {
        self.title = title
        self.peer = peer
    }

    /// The connection is in this state now; nothing is written where that is no news.
    mutating func show(_ state: ConnectionActivity) {
        guard let title, state != shown else { return }
        if shown == nil { offset = showPeer(title) }
        title.set(state.name, behind: offset)
        shown = state
    }

    /// Shows what stays, and returns how long that is.
    private func showPeer(_ title: ProcessTitle) -> Int {
        var count = 0
        TextBuffer.with { text in
            var text = text
            text.put("lifeline: ")
            peer.put(into: &text)
            text.put(UInt8(ascii: " "))
            text.withBytes {
                title.set($0)
                count = $0.count
            }
        }
        return count
    }
}
