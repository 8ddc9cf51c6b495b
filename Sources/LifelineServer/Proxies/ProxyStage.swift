import Basics
import Posix

/// The first stage of a proxy's connection in its process: `ProxyReception` in a loop of its own.
struct ProxyStage: ~Copyable {
    enum StageEnd {
        /// The connection is to be served.
        case client(ProxiedClient)
        /// The connection is over. A process that was told to end serves no other.
        case over(mayServeMore: Bool)
    }

    /// Most headers fit in it at once.
    private static let bufferSize = 1024

    private let commands: ChildCommands.Inbox
    private let signals: OwnedResource<SignalDescriptor>
    private let log: Log
    private var title: ChildTitle
    private var reception: ProxyReception
    private var buffer = [UInt8](repeating: 0, count: bufferSize)
    private var set = PollSet()
    private var wasToldToEnd = false
    /// Whether the end waits for nothing.
    private var mustHurry = false

    /// - Parameters:
    ///   - assignment: Which connection it is.
    ///   - registry: Where the parent is asked.
    ///   - slot: The connection's own.
    ///   - signals: What the process reads its signals from.
    ///   - log: Where the end of a connection is written that is not served.
    ///   - title: What `ps` shows; nil where it shows nothing.
    init(
        _ assignment: ConnectionAssignment, _ registry: ChildRegistry, slot: Int,
        signals: OwnedResource<SignalDescriptor>, log: Log, title: ProcessTitle?
    ) {
        commands = registry.commands[slot]
        self.signals = signals
        self.log = log
        self.title = ChildTitle(title, peer: assignment.peer)
        reception = ProxyReception(assignment, registry, slot: slot, log: log)
    }

    /// Reads the header, and returns once the client is let in or the connection is over.
    mutating func run(_ socket: borrowing Descriptor) -> StageEnd {
        title.update(.greeting)
        var progress = reception.read(socket, into: &buffer)
        while true {
            switch progress {
            case .waits: break
            case .serves(let client): return .client(client)
            case .over: return .over(mayServeMore: !wasToldToEnd)
            }
            title.update(reception.activity)
            progress = wait(socket)
        }
    }

    private mutating func wait(_ socket: borrowing Descriptor) -> ProxyReception.Step {
        set.removeAll(reserving: 2)
        let signalled = set.add(signals.number ?? -1)
        let ready = reception.waitsForBytes ? set.add(socket.number) : nil
        do throws(SystemError) {
            try set.wait(until: reception.deadline)
        } catch {
            return reception.broke("\(error)")
        }
        if set.isReadable(signalled) {
            let progress = handleSignals(socket)
            guard case .waits = progress else { return progress }
        }
        if set.isReadable(ready) {
            let progress = reception.read(socket, into: &buffer)
            guard case .waits = progress else { return progress }
        }
        return reception.resumed(socket, at: .now)
    }

    private mutating func handleSignals(_ socket: borrowing Descriptor) -> ProxyReception.Step {
        var progress = ProxyReception.Step.waits
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate, Signal.quit:
                wasToldToEnd = true
                mustHurry = mustHurry || signal == Signal.quit
                progress = reception.end(socket, commands.command, hurries: mustHurry)
            case Signal.reopen: log.reopen()
            case Signal.call:
                if !wasToldToEnd { progress = reception.lookForVerdict(socket) }
            default: break
            }
        }
        return progress
    }
}

extension LogLine {
    /// Puts what a proxy says of its client, behind the client's address.
    mutating func put(_ client: ProxiedClient) {
        address(.via, client.via)
        if let id = client.uniqueID { text(.uniqueID, String(decoding: id, as: UTF8.self)) }
        guard let tls = client.tls else { return }
        if let version = tls.version { text(.tls, version) }
        if let name = tls.clientName { text(.certificateName, name) }
    }
}
