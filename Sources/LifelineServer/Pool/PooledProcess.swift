import Basics
import Posix

/// A process that was forked ahead: it waits for a connection, serves it as any child does, and then ends or, where it may
/// serve several, waits for the next.
///
/// While it waits it ends when the parent closes the channel or dies, and at SIGTERM and SIGQUIT.
final class PooledProcess {
    /// What a child that was forked for a connection inherits, of one that comes later.
    struct Words: BitwiseCopyable {
        let connection: UInt64
        let peer: SocketAddress
        let acceptedAt: Instant
        let handshakeTimeout: Duration

        /// What is overwritten when a connection comes.
        fileprivate static let none = Words(
            connection: 0, peer: SocketAddress(host: "::", port: 0)!, acceptedAt: Instant(sinceStart: .zero),
            handshakeTimeout: .zero)
    }

    private let channel: Descriptor
    private let signals: OwnedResource<SignalDescriptor>
    private let most: Int
    private let log: Log
    private let title: ProcessTitle?
    private let descriptors: OwnedResource<DescriptorCount>
    private let descriptorsAtStart: Int

    /// `most` is how many connections it serves, one after another.
    init(
        _ channel: consuming Descriptor, signals: OwnedResource<SignalDescriptor>, most: Int, log: Log,
        title: ProcessTitle?
    ) throws(SystemError) {
        self.channel = channel
        self.most = most
        self.log = log
        self.title = title
        self.signals = signals
        descriptors = OwnedResource(most > 1 ? try DescriptorCount() : nil)
        descriptorsAtStart = descriptors.now
    }

    /// `serve` serves a connection to its end, closes it, and returns the exit status, and whether this process may serve
    /// another; `isDone` tells the parent that it does.
    func run(
        serve: (consuming Descriptor, Words) -> (Int32, mayServeMore: Bool),
        isDone: () -> Void
    ) throws(SystemError) -> Never {
        var served = 0
        while true {
            title?.set("lifeline: waiting")
            var words = Words.none
            guard case .descriptor(let connection) = try next(&words) else { exitProcess(0) }
            let (status, mayServeMore) = serve(connection, words)
            served += 1
            guard mayServeMore, served < most, isAsAtStart else { exitProcess(status) }
            isDone()
        }
    }

    /// Whether no connection has left a descriptor or a thread behind.
    private var isAsAtStart: Bool { descriptors.now <= descriptorsAtStart && Connection.threads == 0 }

    private func take(_ words: inout Words) throws(SystemError) -> ReceivedDescriptor {
        try withUnsafeMutableBytes(of: &words) { bytes throws(SystemError) in try channel.take(into: bytes) }
    }

    /// The next connection; nothing or the end where this process is to leave.
    private func next(_ words: inout Words) throws(SystemError) -> ReceivedDescriptor {
        while true {
            var entries = [PollEntry(signals.number ?? -1), PollEntry(channel.number)]
            try poll(&entries, until: nil)
            if entries[1].isReadable { return try take(&words) }
            while let (signal, _) = signals.next() {
                switch signal {
                case Signal.terminate, Signal.quit:
                    // A connection may be on its way. Nothing is given any more from here on, and if one was, the signal
                    // is for it.
                    channel.refuseMore()
                    sendSignal(signal, to: processID)
                    return try take(&words)
                case Signal.reopen: log.reopen()
                default: break
                }
            }
        }
    }
}
