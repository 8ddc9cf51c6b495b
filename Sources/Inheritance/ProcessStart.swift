import Glibc
import Posix
import Synchronization

/// The stock-taking at the start of a process: what execve(2) has kept of the process that started it, and what this one
/// has done about each. `Rules` decide.
///
/// A command takes stock before anything else, a program with the library in it when it makes its first server. It is done
/// once: later calls return the same.
public struct ProcessStart: Sendable {
    /// The signals that were ignored at the start and stay so.
    public private(set) var ignoredSignals: Set<Int32> = []
    /// The limits that this process has changed for itself.
    public private(set) var changedLimits: [ChangedLimit] = []
    /// The descriptors from 3 on that this process was started with; a program with the library in it has none here, for
    /// they are its own.
    public private(set) var descriptors: [Int32] = []
    /// The standard streams that could not be used, and are /dev/null now.
    public private(set) var replacedStreams: [Int32] = []
    /// Whether SIGXCPU will come before the kernel kills this process.
    public private(set) var hasProcessorTimeLimit = false
    /// What the operator is to hear.
    public private(set) var remarks: [StartRemark] = []
    /// Why the process cannot do its work; nil where it can.
    public private(set) var refusal: String?

    private static let taken = Mutex<ProcessStart?>(nil)

    /// Takes stock in the command `name`. Ends the process where there is no descriptor for its standard streams.
    @discardableResult
    public static func begin(_ role: StartRole, in name: String) -> ProcessStart { take(role, command: name) }

    /// What was found at the start; in a program with the library in it what there is now.
    public static var current: ProcessStart { take(.server, command: nil) }

    private static func take(_ role: StartRole, command name: String?) -> ProcessStart {
        taken.withLock { taken in
            if let taken { return taken }
            let start = ProcessStart(role, command: name)
            taken = start
            return start
        }
    }

    private init(_ role: StartRole, command name: String?) {
        let isCommand = name != nil
        // Timers first: a signal of one of them may end the process at any moment.
        if isCommand, stopInheritedTimers() {
            remarks.append(StartRemark("timers", "a timer was running, and is stopped"))
        }
        takeSignals(role, isCommand: isCommand)
        takeLimits(role)
        if isCommand { descriptors = Descriptor.inherited() }
        takeStreams(name)
        if resetTimerSlack() {
            remarks.append(StartRemark("timer slack", "waits were allowed to end late, and are no longer"))
        }
        let dropped = cleanEnvironment()
        if dropped > 0 {
            remarks.append(
                StartRemark(
                    "environment", "\(dropped) entries without a name, or of a name that was there, are taken out"))
        }
    }

    /// Keeps no wish of the shell about signals: a daemon has left it (daemon(7)).
    public static func becomeDaemon() {
        taken.withLock { taken in
            guard var start = taken else { return }
            let said = StartRemark.signals(restored: [], kept: start.keptNames)
            start.remarks.removeAll { said.contains($0) }
            for signal in start.ignoredSignals {
                let decision = StartRole.server.rule(for: signal).decide(.ignored, isDaemon: true)
                SignalDisposition.set(signal, isIgnored: decision.isIgnored ?? true)
            }
            start.remarks += StartRemark.signals(restored: start.keptNames, kept: [])
            start.ignoredSignals = []
            taken = start
        }
    }

    /// Takes `number` out of `descriptors`: this process uses it from now on.
    public static func claim(_ number: Int32) {
        taken.withLock { $0?.descriptors.removeAll { $0 == number } }
    }

    /// Closes all of `descriptors`, which are nobody's any more in a daemon (daemon(7)).
    public static func closeDescriptors() {
        taken.withLock { taken in
            Descriptor.closeInherited(taken?.descriptors ?? [])
            taken?.descriptors = []
        }
    }

    /// Raises the limit of descriptors, where this process is going to need `count` of them.
    public static func needFiles(_ count: UInt64) {
        taken.withLock { taken in
            taken?.take(.files, LimitRule(least: 0, enough: count))
        }
    }

    // MARK: Signals

    private var keptNames: [String] { ignoredSignals.sorted().map(signalName) }

    private mutating func takeSignals(_ role: StartRole, isCommand: Bool) {
        let blocked = SignalMask.blocked, pending = SignalMask.pending
        var restored: [String] = []
        for signal in everySignal {
            let decision = role.rule(for: signal).decide(FoundDisposition(SignalDisposition(of: signal)))
            guard let isIgnored = decision.isIgnored else { continue }
            // What waits of a signal that this process does not read is nothing that it could act on.
            if isCommand, pending.contains(signal), !role.readSignals.contains(signal), signal != SIGTERM {
                SignalDisposition.set(signal, isIgnored: true)
            }
            SignalDisposition.set(signal, isIgnored: isIgnored)
            switch decision.note {
            case .restored: restored.append(signalName(signal))
            case .kept: ignoredSignals.insert(signal)
            case nil: break
            }
        }
        remarks += StartRemark.signals(restored: restored, kept: keptNames)
        guard isCommand else { return }
        // What came before the process could read it is read later.
        SignalMask(role.readSignals.filter { blocked.contains($0) && pending.contains($0) }).block()
        let names = everySignal.filter { blocked.contains($0) }.map(signalName)
        if !names.isEmpty { remarks.append(.blocked(names)) }
    }

    // MARK: Limits

    private mutating func takeLimits(_ role: StartRole) {
        for (limit, rule) in role.limits { take(limit, rule) }
        if let bytes = ProcessLimit.fileSize.current { remarks.append(.fileSize(bytes)) }
        if role == .server { takeProcessorTime() }
        let memory = min(ProcessLimit.memory.current ?? .max, ProcessLimit.data.current ?? .max)
        if let stack = StackRule.threadStack(
            soft: ProcessLimit.stack.current, memory: memory == .max ? nil : memory)
        {
            setThreadStack(Int(stack))
        }
    }

    private mutating func take(_ limit: ProcessLimit, _ rule: LimitRule) {
        let pair = limit.pair
        switch rule.decide(soft: pair.soft, hard: pair.hard) {
        case .keep: break
        case .set(let soft): change(limit, from: pair.soft, to: soft)
        case .tooLow(let hard):
            refusal = refusal ?? StartRemark.refusal(limit.name, is: hard, least: rule.least, ulimit: limit.command)
        }
    }

    private mutating func takeProcessorTime() {
        let pair = ProcessLimit.processorTime.pair
        switch ProcessorTimeRule.decide(soft: pair.soft, hard: pair.hard) {
        case .keep: break
        case .set(let soft): change(.processorTime, from: pair.soft, to: soft)
        case .tooLow(let seconds):
            refusal =
                refusal
                ?? StartRemark.refusal("RLIMIT_CPU", is: seconds, least: ProcessorTimeRule.least, ulimit: "ulimit -t")
        }
        guard let seconds = ProcessLimit.processorTime.current else { return }
        hasProcessorTimeLimit = true
        SignalDisposition.set(SIGXCPU, isIgnored: false)
        remarks.append(.processorTime(seconds))
    }

    private mutating func change(_ limit: ProcessLimit, from old: UInt64?, to new: UInt64) {
        guard limit.set(soft: new) else { return }
        let first = changedLimits.first { $0.limit == limit }
        changedLimits.removeAll { $0.limit == limit }
        changedLimits.append(ChangedLimit(limit, inherited: first.map(\.inherited) ?? old, own: new))
        remarks.append(.limit(limit.name, from: old, to: new))
    }

    // MARK: Descriptors

    private mutating func takeStreams(_ name: String?) {
        do throws(SystemError) {
            replacedStreams = try Descriptor.replaceUnusableStandardStreams()
        } catch {
            // Nothing can be said on a stream that is not there: the status has to do.
            if Descriptor.isUsable(2, forWriting: true) {
                let text =
                    (name.map { "\($0): " } ?? "")
                    + "cannot put /dev/null in place of a standard stream that is closed: \(error)\n"
                try? StandardStream.error.write(text.utf8)
            }
            exitProcess(71)
        }
    }
}
