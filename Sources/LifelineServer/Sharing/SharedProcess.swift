import Basics
import Posix

/// What a shared process goes by.
struct SharedProcessContext {
    let registry: ChildRegistry
    let settings: ConnectionSettings
    let tokens: Tokens?
    let makeRunner: ChildLauncher.RunnerMaker
    /// How many connections it serves at most at a time.
    let mostConnections: Int
    /// How many threads its handlers have at most.
    let mostThreads: Int
    let signals: OwnedResource<SignalDescriptor>
    let log: Log
    let title: ProcessTitle?
    /// What it tells the parent of itself.
    let board: ProcessBoard.ProcessSlot
}

/// A process that serves several connections in one event loop (epoll(7)).
final class SharedProcess {
    private let channel: Descriptor
    private let context: SharedProcessContext

    /// - Parameters:
    ///   - channel: The receiving end, on which connections come.
    ///   - context: What it goes by.
    init(_ channel: consuming Descriptor, _ context: SharedProcessContext) throws(SystemError) {
        self.channel = channel
        self.context = context
    }

    /// Serves until it is to leave and has no connection, and returns its exit status.
    func run() -> Int32 { 0 }
}
