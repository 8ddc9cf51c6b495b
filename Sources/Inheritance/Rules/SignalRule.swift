/// What a process does about a signal, whatever it has inherited (signal(7)).
public enum SignalRule: Sendable {
    /// The process reads it, or it ends the process. Who starts the process may have it ignored, as nohup(1) does and a shell
    /// does for background jobs: it stays ignored then.
    case wish
    /// The process depends on its default.
    case needed
    /// The same, of a signal that only the C library knows: posix_spawn(3) itself ignores some of them.
    case hidden
    /// It stops the process, and belongs to the terminal and its shell.
    case jobControl
    /// The process has no use for it, and would end or stop by it without an end of its connections: it does nothing.
    case unused
}

/// A disposition that a process finds at its start.
public enum FoundDisposition: Sendable {
    case standard
    case ignored
    /// A function of the program that the library runs in.
    case handled
}

/// What a process makes of a disposition that it has found.
public struct SignalDecision: Equatable, Sendable {
    /// Whether the signal is ignored from now on, or has its default; nil leaves it to its handler.
    public let isIgnored: Bool?
    /// What the operator hears.
    public let note: SignalNote?
}

/// What the operator hears of a signal.
public enum SignalNote: Sendable {
    /// It was ignored, and is not any more.
    case restored
    /// It was ignored, and stays so.
    case kept
}

extension SignalRule {
    /// Decides what becomes of a signal. A daemon has left its starter and the terminal, so it keeps no wish of theirs.
    public func decide(_ found: FoundDisposition, isDaemon: Bool = false) -> SignalDecision {
        switch (self, found) {
        case (_, .handled): SignalDecision(isIgnored: nil, note: nil)
        case (.wish, .ignored) where !isDaemon: SignalDecision(isIgnored: true, note: .kept)
        case (.wish, .ignored), (.needed, .ignored): SignalDecision(isIgnored: false, note: .restored)
        case (.jobControl, .ignored): SignalDecision(isIgnored: true, note: nil)
        case (.wish, _), (.needed, _), (.jobControl, _), (.hidden, _): SignalDecision(isIgnored: false, note: nil)
        case (.unused, _): SignalDecision(isIgnored: true, note: nil)
        }
    }
}
