import Basics
import Posix

/// The processes of a load generator, seen from the one that forks them: it makes no load, and adds up their results.
struct GeneratorGroup: ~Copyable {
    private final class LoadProcess {
        let channel: WorkerChannel
        let pid: ProcessID
        var isReady = false
        var result: WorkerResult?

        init(_ channel: WorkerChannel, _ pid: ProcessID) {
            self.channel = channel
            self.pid = pid
        }
    }

    /// The time between the order to start and the start, so that all processes have read it.
    private static let lead = Nanoseconds.milliseconds(20)

    private let options: LoadOptions
    private let address: SocketAddress
    private let signals: SignalDescriptor
    private let members: [LoadProcess]
    private let started = Nanoseconds.now
    private var connectTime = Nanoseconds.zero
    private var isStarted = false
    private var everConnected: UInt64 = 0
    private var lastFailure: LoadConnectionEnd?
    private var isInterrupted = false
    private var seconds: MergedSeconds
    private var error: LoadError?

    private init(
        _ options: LoadOptions, _ address: SocketAddress, _ signals: consuming SignalDescriptor,
        _ members: [LoadProcess]
    ) {
        self.options = options
        self.address = address
        self.signals = signals
        self.members = members
        seconds = MergedSeconds(count: members.count)
    }

    /// Forks the processes. This one must have one thread. Throws `LoadError.Kind.system` where the system lacks processes
    /// or descriptors.
    static func forked(_ options: LoadOptions, to address: SocketAddress) throws(LoadError) -> GeneratorGroup {
        try Generator.raiseFileLimit(for: options)
        do throws(SystemError) {
            let signals = try SignalDescriptor([Signal.interrupt, Signal.terminate])
            return GeneratorGroup(options, address, signals, try members(options, address))
        } catch {
            throw LoadError(
                kind: .system, text: "cannot start \(options.processes) processes: \(error.text) (\(error.call))")
        }
    }

    private static func members(_ options: LoadOptions, _ address: SocketAddress) throws(SystemError) -> [LoadProcess] {
        var members: [LoadProcess] = []
        do throws(SystemError) {
            for index in 0..<options.processes {
                let ends = try SocketPair()
                let own = WorkerChannel(ends.one)
                let other = WorkerChannel(ends.other)
                let forked = try forkProcess()
                if case .parent(let child) = forked {
                    members.append(LoadProcess(own, child))
                } else {
                    // A copy of the first process's end would hide that this has ended. It is closed, and not let go of:
                    // before a function that never returns the compiler lets go of nothing.
                    closeInChild(own.number)
                    for member in members { closeInChild(member.channel.number) }
                    Generator.work(options, to: address, index, other)
                }
            }
        } catch {
            end(members)
            throw error
        }
        return members
    }

    /// Runs the load, and returns the sum of all results. Calls `progress` once a second.
    mutating func run(progress: (Progress) -> Void) throws(LoadError) -> LoadReport {
        var nextTick = started + .seconds(1)
        while error == nil, members.contains(where: { $0.result == nil }) {
            var entries = [PollEntry(signals.number)]
            entries += members.map { PollEntry($0.result == nil ? $0.channel.number : -1) }
            _ = try? poll(&entries, until: .now + .nanoseconds(max(0, (nextTick - .now).count)))
            if entries[0].isReadable { interrupted() }
            for (index, member) in members.enumerated() where entries[index + 1].isReadable {
                receive(from: member, index)
            }
            startIfReady()
            if Nanoseconds.now >= nextTick {
                nextTick = nextTick + .seconds(1)
                progress(seconds.progress(elapsed: .now - started))
            }
        }
        GeneratorGroup.end(members)
        if let error { throw error }
        return report()
    }

    private mutating func interrupted() {
        while signals.next() != nil {
            isInterrupted = true
            for member in members { member.channel.send(WorkerCommand.interrupt.frame) }
        }
    }

    private mutating func receive(from member: LoadProcess, _ index: Int) {
        var messages: [WorkerMessage] = []
        let isOpen = member.channel.receive { messages.append(WorkerMessage(reading: $0)) }
        for message in messages {
            switch message {
            case .ready(let count, let failure):
                member.isReady = true
                everConnected += count
                lastFailure = failure ?? lastFailure
            case .second(let interval, let isMeasured, let stage, let failed):
                seconds.add(interval, of: index, isMeasured: isMeasured, stage: stage, failed: failed)
            case .result(let result):
                member.result = result
                seconds.end(of: index)
            case .failed(let error): if self.error == nil { self.error = error }
            }
        }
        if !isOpen, member.result == nil, error == nil {
            error = LoadError(kind: .system, text: "a process of the load generator ended without a result")
        }
    }

    /// Starts the load of all processes at the same instant, once all of their connections have been tried.
    private mutating func startIfReady() {
        guard !isStarted, !isInterrupted, members.allSatisfy(\.isReady) else { return }
        isStarted = true
        let now = Nanoseconds.now
        connectTime = now - started
        if !options.isShort, everConnected == 0 {
            error = LoadError(lastFailure, at: address)
            return
        }
        for member in members {
            member.channel.send(WorkerCommand.start(at: now + GeneratorGroup.lead).frame)
        }
    }

    /// Ends the processes that are left, and takes their places in the table of processes.
    private static func end(_ members: [LoadProcess]) {
        for member in members {
            if member.result == nil { sendSignal(Signal.kill, to: member.pid) }
            while reap(member.pid) == nil {
                var none: [PollEntry] = []
                _ = try? poll(&none, until: .now + .milliseconds(1))
            }
        }
    }

    private func report() -> LoadReport {
        LoadReport(
            members.compactMap(\.result), seconds: seconds.measured, options: options, target: "\(address)",
            connectTime: connectTime, isInterrupted: isInterrupted, sources: address.sources(options.sources).count)
    }
}
