import Basics
import Posix

/// The process that knows all long connections, and brings the messages of handlers from one process to others.
///
/// Each process with connections has a tie to it: one end of a stream, of which the router gets the other end from the
/// lobby. One thread serves all ties in one event loop (epoll(7)). A turn reads once from each tie that is ready,
/// carries out up to 256 commands of it, and writes what there is for others. Between two turns it runs one slice of
/// the messages to many.
final class RouterProcess {
    // One thread runs all of it, and no access meets another: none is checked.

    /// What the router has of a tie.
    private final class TieEnd {
        let descriptor: Descriptor
        let number: TieNumber
        var reader: RecordReader<RouterCommand>
        /// Whether the kernel takes nothing more, and room is waited for.
        var isBlocked = false
        /// Whether commands wait in the reader for the next turn. Until they are carried out nothing is read.
        var isBehind = false
        /// Whether the process reads nothing any more. What it has said before it ended is still to be read.
        var isDeaf = false

        init(_ descriptor: consuming Descriptor, _ number: TieNumber, most: Int) {
            self.descriptor = descriptor
            self.number = number
            reader = RecordReader(most: most)
        }

        /// What epoll(7) calls it. No later tie has the same key.
        var key: UInt64 { UInt64(number.generation) << 32 | UInt64(number.index) }
    }

    /// How many ties a turn serves at most.
    private static let mostEvents = 64
    /// How many commands of a tie are carried out in a turn.
    private static let mostCommands = 256
    /// After this many records for others a tie has had its turn.
    private static let mostRecords: UInt64 = 1024
    /// How many writes a tie gets in a turn: 64 KiB each.
    private static let mostWrites = 16
    /// How long the figures on the board may be old.
    private static let boardInterval = Duration.milliseconds(10)
    /// The longest wait.
    private static let longestWait: Int64 = 1_000_000_000_000
    private static let bufferSize = 64 << 10
    private static let lobbyKey = UInt64.max
    private static let signalKey = UInt64.max - 1

    private let signals: OwnedResource<SignalDescriptor>
    private let board: RouterBoard
    private let limits: RouterLimits
    private let log: Log
    private let title: ProcessTitle?
    /// Nil once every process that could bring a tie has gone.
    @exclusivity(unchecked) private var lobby: Descriptor?
    @exclusivity(unchecked) private var isLobbyOpen = true
    @exclusivity(unchecked) private var poll: EventPoll
    @exclusivity(unchecked) private var router: TopicRouter
    /// The ties by their places in the router.
    @exclusivity(unchecked) private var ends: [TieEnd?] = []
    @exclusivity(unchecked) private var count = 0
    /// The ties that are behind.
    @exclusivity(unchecked) private var backlog: [TieEnd] = []
    @exclusivity(unchecked) private var buffer: [UInt8]
    @exclusivity(unchecked) private var scratch: [UInt8] = []
    @exclusivity(unchecked) private var now = Instant.now
    /// When the figures on the board are too old; nil where nothing has changed.
    @exclusivity(unchecked) private var boardDue: Instant?

    /// - Parameters:
    ///   - lobby: The taking end of the channel on which ties come: a message has one end of a stream, or several.
    ///   - signals: Those that end it, and `Signal.reopen`.
    ///   - board: Where its figures are told.
    ///   - limits: What it holds at most.
    ///   - log: Where it says what went wrong.
    ///   - title: Its title in the list of processes; nil for none.
    init(
        lobby: consuming Descriptor, signals: OwnedResource<SignalDescriptor>, board: RouterBoard, limits: RouterLimits,
        log: Log, title: ProcessTitle?
    ) throws(SystemError) {
        self.signals = signals
        self.board = board
        self.limits = limits
        self.log = log
        self.title = title
        poll = try EventPoll(most: RouterProcess.mostEvents)
        router = TopicRouter(limits, lastAsk: .random(in: 0..<(1 << 62)))
        buffer = [UInt8](repeating: 0, count: RouterProcess.bufferSize)
        try poll.add(lobby.number, key: RouterProcess.lobbyKey, reading: true, writing: false)
        if let number = signals.number {
            try poll.add(number, key: RouterProcess.signalKey, reading: true, writing: false)
        }
        self.lobby = consume lobby
    }

    /// Serves until a signal ends it, or every other process has gone. Returns its exit status.
    func run() -> Int32 {
        title?.set("lifeline: router")
        while isLobbyOpen || count > 0 {
            do throws(SystemError) {
                guard try turn() else { return 0 }
            } catch {
                log.write(.routerFailed) {
                    $0.number(.pid, processID)
                    $0.text(.text, "\(error)")
                }
                return 1
            }
        }
        return 0
    }

    /// Returns false where a signal has come that ends it.
    private func turn() throws(SystemError) -> Bool {
        let ready = try poll.wait(nanoseconds: timeout)
        now = .now
        let late = backlog
        backlog.removeAll()
        // Whoever has heard of a connection may name it at once: what new processes have said comes first.
        if ready > 0 { try takeTies() }
        for index in 0..<ready {
            let event = poll[index]
            switch event.key {
            case RouterProcess.signalKey: guard handleSignals() else { return false }
            case RouterProcess.lobbyKey: break
            default: serve(event)
            }
        }
        for end in late where isServed(end) {
            obey(end)
            flush()
        }
        router.runSlice()
        router.settleOverdue(at: now)
        flush()
        tellCounts()
        return true
    }

    private var timeout: Int64 {
        guard backlog.isEmpty, !router.hasJobs else { return 0 }
        guard let deadline = earlier(router.deadline, boardDue) else { return RouterProcess.longestWait }
        return Instant.now.nanoseconds(until: deadline, most: RouterProcess.longestWait)
    }

    private func tellCounts() {
        guard let due = boardDue else { return boardDue = now + RouterProcess.boardInterval }
        guard due <= now else { return }
        board.counts = router.counts
        // A turn that the board alone has asked for changes nothing.
        boardDue = nil
    }

    /// Handles the signals that have come; false where the process is to end now.
    private func handleSignals() -> Bool {
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate, Signal.quit: return false
            case Signal.reopen: log.reopen()
            default: break
            }
        }
        return true
    }

    // MARK: Ties

    private func takeTies() throws(SystemError) {
        var words: UInt64 = 0
        for _ in 0..<RouterProcess.mostEvents {
            let hasMore = try withUnsafeMutableBytes(of: &words) { words throws(SystemError) in
                try takeTies(into: words)
            }
            guard hasMore else { return }
        }
    }

    /// Takes the ties of one message; false where none waits.
    private func takeTies(into words: UnsafeMutableRawBufferPointer) throws(SystemError) -> Bool {
        guard var received = try lobby?.takeSeveral(into: words) ?? nil else { return false }
        guard received.bytes > 0 else {
            lobby = nil
            isLobbyOpen = false
            return false
        }
        guard received.count > 0 else {
            logClosed(connections: 0, "there is no descriptor for a tie: raise the limit of open files (RLIMIT_NOFILE)")
            return true
        }
        while let descriptor = received.takeNext() { open(descriptor) }
        return true
    }

    private func open(_ descriptor: consuming Descriptor) {
        let end = TieEnd(descriptor, router.open(), most: limits.longestCommand)
        let index = Int(end.number.index)
        if index == ends.count { ends.append(nil) }
        ends[index] = end
        count += 1
        do throws(SystemError) {
            try poll.add(end.descriptor.number, key: end.key, reading: true, writing: false)
            read(end)
        } catch {
            close(end, because: "\(error)")
        }
    }

    private func isServed(_ end: TieEnd) -> Bool { ends[Int(end.number.index)] === end }

    /// Closes a tie, and says why where it is not the process's end.
    private func close(_ end: TieEnd, because reason: String? = nil) {
        guard isServed(end) else { return }
        if let reason { logClosed(connections: router.connectionCount(of: end.number), reason) }
        router.close(end.number)
        ends[Int(end.number.index)] = nil
        count -= 1
    }

    private func logClosed(connections: Int, _ reason: String) {
        log.write(.tieClosed) {
            $0.number(.connections, UInt64(connections))
            $0.text(.text, reason)
        }
    }

    private func serve(_ event: ReadyEvent) {
        let index = Int(event.key & 0xFFFF_FFFF)
        // An earlier event of the turn may have closed it.
        guard index < ends.count, let end = ends[index], end.key == event.key else { return }
        if event.isWritable, end.isBlocked { write(end) }
        if event.isReadable, !end.isBehind, isServed(end) { read(end) }
        flush()
    }

    // MARK: Reading

    private func read(_ end: TieEnd) {
        do throws(SystemError) {
            switch try end.descriptor.receive(into: &buffer) {
            case .bytes(let count):
                end.reader.append(buffer[..<count])
                obey(end)
            case .wouldBlock: break
            case .end: close(end)
            }
        } catch {
            close(end, because: error.isReset ? nil : "\(error)")
        }
    }

    /// Carries out commands that have come, as many as one turn has.
    private func obey(_ end: TieEnd) {
        end.isBehind = false
        let before = router.sums.delivered
        do throws(RecordFault) {
            for _ in 0..<RouterProcess.mostCommands where router.sums.delivered - before < RouterProcess.mostRecords {
                guard let command = try end.reader.next() else { return }
                try router.obey(command, from: end.number, at: now)
            }
        } catch {
            return close(end, because: "a process has sent what is no command: \(error)")
        }
        end.isBehind = true
        backlog.append(end)
    }

    // MARK: Writing

    /// Writes to the ties that have got something.
    private func flush() {
        // A tie that closes leaves answers for others.
        while true {
            let ready = router.takeReady()
            for number in ready {
                if let end = ends[Int(number.index)], end.number == number, !end.isBlocked { write(end) }
            }
            let broken = router.takeBroken()
            for number in broken {
                guard let end = ends[Int(number.index)], end.number == number else { continue }
                close(end, because: "a process has not read its answers")
            }
            if ready.isEmpty && broken.isEmpty { return }
        }
    }

    private func write(_ end: TieEnd) {
        do throws(SystemError) {
            for _ in 0..<RouterProcess.mostWrites {
                guard try writeOnce(end) else { return }
            }
            // The rest is for the next turn.
            setBlocked(end, true)
        } catch {
            // The end of the stream follows, behind what the process has said before.
            end.isDeaf = true
            setBlocked(end, false)
            while skipOnce(end) {}
        }
    }

    /// Writes once, and returns whether more can be written.
    private func writeOnce(_ end: TieEnd) throws(SystemError) -> Bool {
        guard !end.isDeaf else { return skipOnce(end) }
        let bytes = router.unsent(to: end.number, &scratch)
        guard !bytes.isEmpty else {
            setBlocked(end, false)
            return false
        }
        guard case .bytes(let count) = try end.descriptor.send(bytes) else {
            setBlocked(end, true)
            return false
        }
        router.wrote(count, to: end.number)
        return true
    }

    /// Drops what would be written. Returns whether there was something.
    private func skipOnce(_ end: TieEnd) -> Bool {
        let count = router.unsent(to: end.number, &scratch).count
        guard count > 0 else { return false }
        router.wrote(count, to: end.number)
        return true
    }

    private func setBlocked(_ end: TieEnd, _ isBlocked: Bool) {
        guard end.isBlocked != isBlocked else { return }
        end.isBlocked = isBlocked
        poll.change(end.descriptor.number, key: end.key, reading: true, writing: isBlocked)
    }
}

extension RouterLimits {
    init(_ options: ServerOptions) { self.init(maxMessage: Int(options.maxMessage)) }
}
