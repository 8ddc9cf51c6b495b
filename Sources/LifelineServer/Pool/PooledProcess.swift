import Basics
import Posix

/// A process that was forked ahead: it waits for a connection, serves it as any child does, and then ends or, where it
/// may serve several, waits for the next.
///
/// While it waits it ends when the parent closes the channel or dies, and at SIGTERM and SIGQUIT.
final class PooledProcess {
    private let channel: Descriptor
    private let signals: OwnedResource<SignalDescriptor>
    private let most: Int
    private let log: Log
    private let title: ProcessTitle?
    private let descriptors: OwnedResource<DescriptorCount>
    private let descriptorsAtStart: Int

    /// - Parameters:
    ///   - channel: The receiving end, on which connections come.
    ///   - signals: What it reads its signals from.
    ///   - connections: How many it serves at most, one after another.
    ///   - log: Where it writes its lines.
    ///   - title: Its title in `ps`; nil where it shows none.
    init(
        _ channel: consuming Descriptor, signals: OwnedResource<SignalDescriptor>, connections: Int, log: Log,
        title: ProcessTitle?
    ) throws(SystemError) {
        self.channel = channel
        self.log = log
        self.title = title
        self.signals = signals
        most = connections
        descriptors = OwnedResource(connections > 1 ? try DescriptorCount() : nil)
        descriptorsAtStart = descriptors.now
    }

    /// Serves connections until it ends.
    ///
    /// `serve` serves one to its end, closes it, and returns the exit status and whether this process may serve
    /// another. `markCompleted` tells the parent that this process waits again.
    func run(
        serve: (consuming Descriptor, ConnectionAssignment) -> (Int32, mayServeMore: Bool), markCompleted: () -> Void
    ) throws(SystemError) -> Never {
        var served = 0
        while true {
            title?.set("lifeline: waiting")
            var assignment = ConnectionAssignment.none
            guard case .descriptor(let connection) = try next(&assignment) else { exitProcess(0) }
            let (status, mayServeMore) = serve(connection, assignment)
            served += 1
            guard mayServeMore, served < most, isAsAtStart else { exitProcess(status) }
            markCompleted()
        }
    }

    /// Whether no connection has left a descriptor or a thread behind.
    private var isAsAtStart: Bool { descriptors.now <= descriptorsAtStart && Connection.threads == 0 }

    private func receive(_ assignment: inout ConnectionAssignment) throws(SystemError) -> ReceivedDescriptor {
        try withUnsafeMutableBytes(of: &assignment) { bytes throws(SystemError) in try channel.take(into: bytes) }
    }

    /// Waits for the next connection; nothing or the end where this process is to leave.
    private func next(_ assignment: inout ConnectionAssignment) throws(SystemError) -> ReceivedDescriptor {
        var set = PollSet()
        while true {
            set.removeAll(reserving: 2)
            _ = set.add(signals.number ?? -1)
            let assigned = set.add(channel.number)
            try set.wait(until: nil)
            if set.isReadable(assigned) { return try receive(&assignment) }
            while let (signal, _) = signals.next() {
                switch signal {
                case Signal.terminate, Signal.quit:
                    // A connection may be on its way. None is sent any more from here on, and if one was, the signal is
                    // for it.
                    channel.refuseMore()
                    sendSignal(signal, to: processID)
                    return try receive(&assignment)
                case Signal.reopen: log.reopen()
                default: break
                }
            }
        }
    }
}
