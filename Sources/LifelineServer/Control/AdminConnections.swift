import Basics
import Framing
import Liveness
import Posix

/// Serves connections of one request each, on a listener of their own (control socket, metrics), from the parent's
/// loop.
///
/// Nothing here waits. At most 16 connections are open at a time, each request is bounded, the next piece of an answer
/// is made when the last one was taken, and a peer that neither sends nor reads is closed.
final class AdminConnections {
    /// What is said to a request.
    struct Answer {
        var bytes: [UInt8]
        /// Makes the next piece when these are sent; nil at the end.
        var more: () -> [UInt8]? = { nil }
        /// Takes the connection over when all is sent; nil where it ends then. It gets a copy of the socket of its own.
        var handOver: ((borrowing Descriptor) -> Void)?
    }

    private final class AdminConnection {
        enum Stage {
            case asking
            case answered(Answer)
            /// Only its end is waited for: closing with unread bytes would destroy what the peer has not read.
            case leaving
        }

        let socket: ParentOwned<Descriptor>
        var token: PollSet.Token?
        var stage = Stage.asking
        var request: [UInt8] = []
        var unsent: ArraySlice<UInt8> = []
        var until: Instant

        init(_ socket: consuming ParentOwned<Descriptor>, until: Instant) {
            self.socket = socket
            self.until = until
        }

        func begin(_ answer: Answer) {
            request = []
            unsent = answer.bytes[...]
            stage = .answered(answer)
        }
    }

    /// Beyond this many the oldest are closed.
    private static let most = 16
    /// How long a peer may take to ask, and to take the next piece of an answer.
    private static let patience = Duration.seconds(5)
    /// After a failure of accept(2) the next try waits this long.
    private static let pause = Duration.milliseconds(100)
    /// After this many writes in a row the parent's other work comes first.
    private static let writesAtOnce = 4

    private let descriptors: ParentDescriptors
    private var listener: ParentOwned<Descriptor>?
    private var token: PollSet.Token?
    private let refusal: (borrowing Descriptor) -> Answer?
    private let answer: ([UInt8]) -> Answer?
    private var connections: [AdminConnection] = []
    private var pausedUntil: Instant?
    private var buffer = [UInt8](repeating: 0, count: 4096)

    /// Serves `listener`, which is owned from now on.
    ///
    /// - Parameters:
    ///   - listener: Where peers connect.
    ///   - descriptors: Where the parent's descriptors are listed.
    ///   - refusal: The answer to a peer that may not ask; nil where it may.
    ///   - answer: Answers the bytes that have come; nil where that is not a whole request. It refuses one that is too
    ///     long.
    init(
        _ listener: consuming Descriptor, in descriptors: ParentDescriptors,
        refusal: @escaping (borrowing Descriptor) -> Answer? = { _ in nil }, answer: @escaping ([UInt8]) -> Answer?
    ) {
        self.descriptors = descriptors
        self.listener = ParentOwned(listener, in: descriptors)
        self.refusal = refusal
        self.answer = answer
    }

    /// How many connections are open.
    var count: Int { connections.count }
    var deadline: Instant? { connections.reduce(pausedUntil) { earlier($0, $1.until) } }

    func add(to set: inout PollSet) {
        token = nil
        if pausedUntil == nil, let number = listener?.resource.number { token = set.add(number) }
        for connection in connections {
            let isAnswered = if case .answered = connection.stage { true } else { false }
            connection.token = set.add(
                connection.socket.resource.number, reading: !isAnswered, writing: isAnswered)
        }
    }

    /// The loop woke up: serves what is ready.
    func resumed(_ set: borrowing PollSet, at now: Instant) {
        for connection in connections where set.isReadable(connection.token) || set.isWritable(connection.token) {
            serve(connection, at: now)
        }
        connections.removeAll { $0.until <= now }
        if let pausedUntil, pausedUntil <= now { self.pausedUntil = nil }
        if set.isReadable(token) { acceptSome(at: now) }
    }

    /// Closes all at once.
    func closeAll() {
        listener = nil
        connections = []
    }

    private func acceptSome(at now: Instant) {
        for _ in 0..<AdminConnections.most {
            do throws(SystemError) {
                guard let accepted = try listener?.resource.accept() ?? nil else { return }
                if connections.count == AdminConnections.most { connections.removeFirst() }
                let refusal = refusal(accepted.connection)
                let connection = AdminConnection(
                    ParentOwned(accepted.connection, in: descriptors), until: now + AdminConnections.patience)
                if let refusal { connection.begin(refusal) }
                connections.append(connection)
            } catch {
                if error.isConnectionGone { continue }
                pausedUntil = now + AdminConnections.pause
                return
            }
        }
    }

    private func serve(_ connection: AdminConnection, at now: Instant) {
        do throws(SystemError) {
            switch connection.stage {
            case .asking: try read(connection, at: now)
            case .answered(let answer): try send(answer, to: connection, at: now)
            case .leaving:
                if case .end = try connection.socket.resource.receive(into: &buffer) { connection.until = now }
            }
        } catch {
            connection.until = now
        }
    }

    private func read(_ connection: AdminConnection, at now: Instant) throws(SystemError) {
        switch try connection.socket.resource.receive(into: &buffer) {
        case .wouldBlock: return
        case .end: connection.until = now
        case .bytes(let count):
            connection.request += buffer[..<count]
            guard let answer = answer(connection.request) else { return }
            connection.begin(answer)
            try send(answer, to: connection, at: now)
        }
    }

    private func send(_ answer: Answer, to connection: AdminConnection, at now: Instant) throws(SystemError) {
        for _ in 0..<AdminConnections.writesAtOnce {
            if connection.unsent.isEmpty {
                guard let more = answer.more() else {
                    if let handOver = answer.handOver {
                        connection.until = now
                        return handOver(connection.socket.resource)
                    }
                    connection.socket.resource.shutdownWriting()
                    connection.stage = .leaving
                    connection.until = now + LingeringClose.linger
                    return
                }
                connection.unsent = more[...]
                continue
            }
            guard case .bytes(let count) = try connection.socket.resource.send(connection.unsent) else { return }
            connection.unsent = connection.unsent.dropFirst(count)
            connection.until = now + AdminConnections.patience
        }
    }
}
