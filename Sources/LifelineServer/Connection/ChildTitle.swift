import Basics
import Framing
import Posix

/// The title of a process that serves one connection, as `ps` shows it: `lifeline: 192.0.2.7:51234 idle`.
struct ChildTitle {
    private let title: ProcessTitle?
    private let peer: SocketAddress
    /// Where the activity stands in the title.
    private var offset = 0
    private var shown: ConnectionActivity?

    init(_ title: ProcessTitle?, peer: SocketAddress) {
        self.title = title
        self.peer = peer
    }

    /// Shows what the connection does now; without a change nothing is written.
    mutating func update(_ activity: ConnectionActivity) {
        guard let title, activity != shown else { return }
        if shown == nil { offset = setPeer(title) }
        title.set(activity.name, behind: offset)
        shown = activity
    }

    /// Sets the part that stays, and returns its length.
    private func setPeer(_ title: ProcessTitle) -> Int {
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
