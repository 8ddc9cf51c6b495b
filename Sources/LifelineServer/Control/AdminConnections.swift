import Basics
import Framing
import Liveness
import Posix

/// Those who ask the parent something, on a socket of its own: each sends one request, gets one answer, and is closed.
///
/// Nothing here waits. There are few of them at a time, each request is bounded, an answer is made as fast as it is
/// taken, and who neither sends nor reads is closed.
final class AdminConnections {
    /// What is said to a request.
    struct Answer {
        var bytes: [UInt8]
        /// Makes the next piece when these are sent; nil at the end.
        var more: () -> [UInt8]? = { nil }
    }

    private final class AdminConnection {
        enum Stage {
            case asking
            case answered(Answer)
            /// Only its end is waited for: closing with unread bytes would destroy what it has not read.
            case leaving
        }

        let connection: Descriptor
        var stage = Stage.asking
        var request: [UInt8] = []
        var unsent: ArraySlice<UInt8> = []
        var until: Instant

        init(_ connection: consuming Descriptor, until: Instant) {
            self.connection = connection
            self.until = until
        }

        func begin(_ answer: Answer) {
            request = []
            unsent = answer.bytes[...]
            stage = .answered(answer)
        }
    }

    /// Of more than these the oldest are closed.
    private static let most = 16
    /// How long one may take to ask, and to take the next piece of an answer.
    private static let patience = Duration.seconds(5)
    /// After a failure accept(2) is tried again so much later.
    private static let pause = Duration.milliseconds(100)
    /// So many writes in a row, then the parent's other work comes first.
    private static let writesAtOnce = 4

    private var listener: Descriptor?
    private let refusal: (borrowing Descriptor) -> Answer?
    private let answer: ([UInt8]) -> Answer?
    private var visitors: [AdminConnection] = []
    private var pausedUntil: Instant?
    private var buffer = [UInt8](repeating: 0, count: 4096)

    /// Serves `listener`, which is owned from now on. Whoever may not ask is told the `refusal`; `answer` is given what has
    /// come, and says nil where that is not a whole request, which it refuses when it is too long.
    init(
        _ listener: consuming Descriptor, refusal: @escaping (borrowing Descriptor) -> Answer? = { _ in nil },
        answer: @escaping ([UInt8]) -> Answer?
    ) {
        self.listener = consume listener
        self.refusal = refusal
        self.answer = answer
    }

    var deadline: Instant? { visitors.reduce(pausedUntil) { earlier($0, $1.until) } }

    /// How many descriptors there are: the listener, then each visitor.
    var count: Int { 1 + visitors.count }

    /// Adds what poll(2) waits for.
    func append(to entries: inout [PollEntry]) {
        entries.append(PollEntry(pausedUntil == nil ? listener?.number ?? -1 : -1))
        for visitor in visitors {
            let isTold = if case .answered = visitor.stage { true } else { false }
            entries.append(PollEntry(visitor.connection.number, reading: !isTold, writing: isTold))
        }
    }

    /// `entries` are those asked for.
    func woke(_ entries: ArraySlice<PollEntry>, at now: Instant) {
        guard let first = entries.first else { return }
        for (visitor, entry) in zip(visitors, entries.dropFirst()) where entry.isReadable || entry.isWritable {
            serve(visitor, at: now)
        }
        visitors.removeAll { $0.until <= now }
        if let pausedUntil, pausedUntil <= now { self.pausedUntil = nil }
        if first.isReadable { acceptSome(at: now) }
    }

    /// The numbers of the descriptors; -1 is none.
    func append(to numbers: inout [Int32]) {
        numbers.append(listener?.number ?? -1)
        for visitor in visitors { numbers.append(visitor.connection.number) }
    }

    /// Closes all at once.
    func closeAll() {
        listener = nil
        visitors = []
    }

    private func acceptSome(at now: Instant) {
        for _ in 0..<AdminConnections.most {
            do throws(SystemError) {
                guard let accepted = try listener?.accept() ?? nil else { return }
                if visitors.count == AdminConnections.most { visitors.removeFirst() }
                let refusal = refusal(accepted.connection)
                let visitor = AdminConnection(accepted.connection, until: now + AdminConnections.patience)
                if let refusal { visitor.begin(refusal) }
                visitors.append(visitor)
            } catch {
                if error.isConnectionGone { continue }
                pausedUntil = now + AdminConnections.pause
                return
            }
        }
    }

    private func serve(_ visitor: AdminConnection, at now: Instant) {
        do throws(SystemError) {
            switch visitor.stage {
            case .asking: try ask(visitor, at: now)
            case .answered(let answer): try send(answer, to: visitor, at: now)
            case .leaving: if case .end = try visitor.connection.receive(into: &buffer) { visitor.until = now }
            }
        } catch {
            visitor.until = now
        }
    }

    private func ask(_ visitor: AdminConnection, at now: Instant) throws(SystemError) {
        switch try visitor.connection.receive(into: &buffer) {
        case .wouldBlock: return
        case .end: visitor.until = now
        case .bytes(let count):
            visitor.request += buffer[..<count]
            guard let answer = answer(visitor.request) else { return }
            visitor.begin(answer)
            try send(answer, to: visitor, at: now)
        }
    }

    private func send(_ answer: Answer, to visitor: AdminConnection, at now: Instant) throws(SystemError) {
        for _ in 0..<AdminConnections.writesAtOnce {
            if visitor.unsent.isEmpty {
                guard let more = answer.more() else {
                    visitor.connection.shutdownWriting()
                    visitor.stage = .leaving
                    visitor.until = now + LingeringClose.linger
                    return
                }
                visitor.unsent = more[...]
                continue
            }
            guard case .bytes(let count) = try visitor.connection.send(visitor.unsent) else { return }
            visitor.unsent = visitor.unsent.dropFirst(count)
            visitor.until = now + AdminConnections.patience
        }
    }
}
