import CPosix
import Glibc

/// What a signal does in this process (sigaction(2)).
public enum SignalDisposition: Sendable {
    /// What the system does by default: most signals end the process.
    case standard
    /// Nothing.
    case ignored
    /// It calls a function of the program.
    case handled

    /// The disposition of `signal` now.
    public init(of signal: Int32) {
        self =
            switch cposix_disposition(signal) {
            case 0: .standard
            case 1: .ignored
            default: .handled
            }
    }

    /// Ignores `signal`, or gives it its default. A pending signal is discarded where it is ignored from now on.
    public static func set(_ signal: Int32, isIgnored: Bool) { cposix_set_disposition(signal, isIgnored ? 1 : 0) }
}

/// A set of signals, as the kernel has it (sigprocmask(2)).
public struct SignalMask: Equatable, Sendable {
    private var bits: UInt64

    private init(bits: UInt64) { self.bits = bits }

    /// The set of these signals.
    public init(_ signals: some Sequence<Int32>) {
        bits = 0
        for signal in signals { insert(signal) }
    }

    /// Those that this thread blocks.
    public static var blocked: SignalMask { SignalMask(bits: cposix_blocked_signals()) }
    /// Those that wait until they are no longer blocked (sigpending(2)).
    public static var pending: SignalMask { SignalMask(bits: cposix_pending_signals()) }

    /// Adds a signal.
    public mutating func insert(_ signal: Int32) { bits |= 1 << UInt64(signal - 1) }
    /// Takes a signal out.
    public mutating func remove(_ signal: Int32) { bits &= ~(1 << UInt64(signal - 1)) }
    /// Whether `signal` is in the set.
    public func contains(_ signal: Int32) -> Bool { bits & (1 << UInt64(signal - 1)) != 0 }

    /// Blocks these signals in this thread, and no others.
    public func block() { cposix_block_signals(bits) }
}

/// The numbers of all signals that a process may ignore: of SIGKILL and SIGSTOP there is nothing to decide.
public let everySignal: [Int32] = (1...64).filter { $0 != SIGKILL && $0 != SIGSTOP }
