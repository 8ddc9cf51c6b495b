import Basics
import Posix

/// The router: a process with one thread, which passes on what the connections of other processes say to one another.
///
/// It waits in epoll(7) for its ties, one to each process, and does what `TopicRouter` decides. A turn reads each tie once, runs
/// one slice of what goes to many, and writes to the ties that have something. It never waits for a tie.
final class RouterProcess {
    /// How many events, and how many processes that introduce themselves, a turn takes at most.
    private static let mostEvents = 256
    private static let bytesAtOnce = 65536
    /// How many writes to a tie follow each other before the others have their turn.
    private static let writesAtOnce = 4
    /// When no descriptor is left for a process that introduces itself, the next has to wait.
    private static let lobbyPause = Duration.milliseconds(100)
    /// How often it shows its counts.
    private static let showsEvery = Duration.milliseconds(20)
    private static let longestWait: Int64 = 1_000_000_000_000
    private static let lobbyKey = UInt64.max
    private static let signalKey = UInt64.max - 1

    /// The router's end of a tie.
    private final class RouterEnd {
        let number: TieNumber
        let socket: Descriptor
        var reader: RecordReader<RouterCommand>
        /// Whether it takes no more bytes now.
        var isBlocked = false

        init(_ number: TieNumber, _ socket: consuming Descriptor, longest: Int) {
            self.number = number
            self.socket = socket
            reader = RecordReader(most: longest)
        }
    }

    /// Nil once every other process is gone.
    private var lobby: Descriptor?
    /// Until when nobody is taken out of the lobby.
    private var lobbyPausedUntil: Instant?
    private let signals: OwnedResource<SignalDescriptor>
    private let board: RouterBoard
    private let limits: RouterLimits
    private let log: Log
    private var poll: EventPoll
    private var router: TopicRouter
    private var ends: [RouterEnd?] = []
    private var tieCount = 0
    private var buffer = [UInt8](repeating: 0, count: RouterProcess.bytesAtOnce)
    private var scratch: [UInt8] = []
    private var now = Instant.now
    private var showsAt: Instant?
    private var hasSignals = false

    /// - Parameters:
    ///   - lobby: Where other processes introduce themselves.
    ///   - signals: What it reads its signals from.
    ///   - board: Where it shows its counts.
    ///   - limits: What it holds at most.
    ///   - log: Where it writes its lines.
    ///   - title: Its title in `ps`; nil where it shows none.
    init(
        lobby: consuming Descriptor, signals: OwnedResource<SignalDescriptor>, board: RouterBoard,
        limits: RouterLimits, log: Log, title: ProcessTitle?
    ) throws(SystemError) {
        self.signals = signals
        self.board = board
        self.limits = limits
        self.log = log
        router = TopicRouter(limits)
        poll = try EventPoll(most: RouterProcess.mostEvents)
        try poll.add(lobby.number, key: RouterProcess.lobbyKey, reading: true, writing: false)
        try poll.add(signals.number ?? -1, key: RouterProcess.signalKey, reading: true, writing: false)
        self.lobby = consume lobby
        title?.set("lifeline: router")
    }

    /// Passes on messages until it is told to end, or every other process is gone. Returns its exit status.
    func run() -> Int32 {
        while lobby != nil || tieCount > 0 {
            guard let ready = wait() else { return 1 }
            for index in 0..<ready { handle(poll[index]) }
            if router.hasJobs { router.runSlice() }
            router.settleOverdue(at: now)
            for tie in router.takeReady() { if let end = end(of: tie), !end.isBlocked { write(to: end) } }
            for tie in router.takeBroken() {
                if let end = end(of: tie) { cut(end, because: "a process takes nothing of what it has asked for") }
            }
            showCounts()
            if hasSignals, !handleSignals() { return 0 }
        }
        return 0
    }

    // MARK: A turn

    /// Waits for events, and returns how many there are; nil where that failed.
    private func wait() -> Int? {
        do throws(SystemError) {
            let ready = try poll.wait(nanoseconds: timeout(at: .now))
            now = .now
            if let until = lobbyPausedUntil, until <= now { watchLobby(true) }
            return ready
        } catch {
            log.write(.childFailed) {
                $0.number(.pid, processID)
                $0.text(.text, "\(error)")
            }
            return nil
        }
    }

    private func timeout(at begun: Instant) -> Int64 {
        guard !router.hasJobs else { return 0 }
        guard let deadline = earlier(router.deadline, earlier(lobbyPausedUntil, showsAt)) else {
            return RouterProcess.longestWait
        }
        return begun.nanoseconds(until: deadline, most: RouterProcess.longestWait)
    }

    private func handle(_ event: ReadyEvent) {
        switch event.key {
        case RouterProcess.lobbyKey: receiveTies()
        case RouterProcess.signalKey: hasSignals = true
        default:
            let tie = TieNumber(key: event.key)
            if event.isReadable, let end = end(of: tie) { read(from: end) }
            if event.isWritable, let end = end(of: tie), end.isBlocked { write(to: end) }
        }
    }

    private func handleSignals() -> Bool {
        hasSignals = false
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate, Signal.quit: return false
            case Signal.reopen: log.reopen()
            default: break
            }
        }
        return true
    }

    private func showCounts() {
        if let showsAt, now < showsAt { return }
        let counts = router.counts
        let isNews = counts != board.counts
        if isNews { board.counts = counts }
        // The last change is shown too: the loop wakes once more for it.
        showsAt = isNews ? now + RouterProcess.showsEvery : nil
    }

    // MARK: The lobby

    private func receiveTies() {
        for _ in 0..<RouterProcess.mostEvents {
            var word: UInt8 = 0
            do throws(SystemError) {
                let taken = try withUnsafeMutableBytes(of: &word) { word throws(SystemError) in
                    try lobby?.take(into: word) ?? .nothing
                }
                switch consume taken {
                case .descriptor(let socket): try open(socket)
                case .nothing: return
                case .end:
                    lobby = nil
                    return
                }
            } catch {
                // The process learns of it by the end of its tie, and comes again.
                log.write(.tieCut, reason: error.text, most: 1) { $0.text(.text, "a process could not be served: \(error)") }
                lobbyPausedUntil = now + RouterProcess.lobbyPause
                watchLobby(false)
                return
            }
        }
    }

    private func watchLobby(_ isOn: Bool) {
        if isOn { lobbyPausedUntil = nil }
        if let number = lobby?.number {
            poll.change(number, key: RouterProcess.lobbyKey, reading: isOn, writing: false)
        }
    }

    private func open(_ socket: consuming Descriptor) throws(SystemError) {
        let number = router.open()
        let end = RouterEnd(number, socket, longest: limits.longestCommand)
        do throws(SystemError) {
            try poll.add(end.socket.number, key: number.key, reading: true, writing: false)
        } catch {
            router.close(number)
            throw error
        }
        let index = Int(number.index)
        while ends.count <= index { ends.append(nil) }
        ends[index] = end
        tieCount += 1
    }

    // MARK: Ties

    private func end(of tie: TieNumber) -> RouterEnd? {
        guard tie.index < ends.count, let end = ends[Int(tie.index)], end.number == tie else { return nil }
        return end
    }

    private func read(from end: RouterEnd) {
        do throws(SystemError) {
            switch try end.socket.receive(into: &buffer) {
            case .wouldBlock: return
            case .end: return close(end)
            case .bytes(let count):
                end.reader.append(buffer[..<count])
            }
        } catch {
            return close(end)
        }
        do throws(RecordFault) {
            while let command = try end.reader.next() { try router.obey(command, from: end.number, at: now) }
        } catch {
            cut(end, because: error.description)
        }
    }

    private func write(to end: RouterEnd) {
        let wasBlocked = end.isBlocked
        end.isBlocked = false
        var writes = 0
        while !end.isBlocked {
            let bytes = router.unsent(to: end.number, &scratch)
            guard !bytes.isEmpty else { break }
            guard writes < RouterProcess.writesAtOnce else {
                end.isBlocked = true  // epoll(7) says at once that there is room, and others come first.
                break
            }
            writes += 1
            do throws(SystemError) {
                switch try end.socket.send(bytes) {
                case .bytes(let count):
                    router.wrote(count, to: end.number)
                    end.isBlocked = count < bytes.count
                case .wouldBlock, .end: end.isBlocked = true
                }
            } catch {
                return close(end)
            }
        }
        guard end.isBlocked != wasBlocked else { return }
        poll.change(end.socket.number, key: end.number.key, reading: true, writing: end.isBlocked)
    }

    /// The process has gone.
    private func close(_ end: RouterEnd) {
        guard ends[Int(end.number.index)] === end else { return }
        router.close(end.number)
        poll.remove(end.socket.number)
        ends[Int(end.number.index)] = nil
        tieCount -= 1
    }

    /// The process cannot be understood, or takes nothing: it has to introduce itself again.
    private func cut(_ end: RouterEnd, because text: String) {
        log.write(.tieCut, reason: text, most: 1) { $0.text(.text, text) }
        close(end)
    }
}

extension TieNumber {
    /// What epoll(7) calls it.
    fileprivate var key: UInt64 { UInt64(generation) << 32 | UInt64(index) }

    fileprivate init(key: UInt64) {
        self.init(index: UInt32(truncatingIfNeeded: key), generation: UInt32(key >> 32))
    }
}

extension RouterLimits {
    init(_ options: ServerOptions) { self.init(maxMessage: Int(options.maxMessage)) }
}
