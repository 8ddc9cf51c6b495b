import Basics
import LifelineClient
import Posix
import Synchronization

/// All messages on one connection.
final class LongRoute: MessageRoute {
    private let settings: ClientSettings
    private let connection: LongConnection
    private let known = Atomic(ClientSettings.longestInput)

    init(_ settings: ClientSettings, _ connection: LongConnection) {
        self.settings = settings
        self.connection = connection
    }

    /// The limit of the connection that is there, or was last.
    var longest: Int {
        if case .open(let terms) = connection.state { known.store(terms.maxMessage, ordering: .relaxed) }
        return known.load(ordering: .relaxed)
    }

    /// A one-way message waits for room for as long as that takes.
    var timeout: Duration? { settings.isOneWay ? nil : settings.timeout }

    var isAway: Bool {
        switch connection.state {
        case .connecting, .waiting: true
        case .open, .goingAway, .closed: false
        }
    }

    func send(_ calls: [NumberedCall], to results: CallResults) -> [LongConnection.CallID] {
        connection.submit(
            calls, isOneWay: settings.isOneWay, mayRunTwice: settings.mayRunTwice, to: results)
    }

    func abandon(_ call: LongConnection.CallID) { connection.abandon(call) }
}

/// A connection for each message.
final class ShortRoute: MessageRoute {
    private struct State {
        /// In the order in which they are tried: the one that has answered last is the first.
        var servers: [String]
        var wait: Duration
        var hasAnswered = false
        /// Since when no server is there; nil where one is.
        var awaySince: Instant?
        var longest = ClientSettings.longestInput
    }

    private let settings: ClientSettings
    private let shared: Mutex<State>
    private let printed: AsyncStream<ConnectionEvent>.Continuation
    private let printing: Task<Void, Never>

    init(_ settings: ClientSettings, _ printer: EventPrinter) {
        self.settings = settings
        let (events, printed) = AsyncStream.makeStream(of: ConnectionEvent.self)
        self.printed = printed
        printing = Task { for await event in events { printer.showShort(event) } }
        shared = Mutex(State(servers: settings.servers, wait: settings.options.wait))
    }

    /// The limit of the server that has answered last.
    var longest: Int { shared.withLock { $0.longest } }
    /// The library ends each request.
    var timeout: Duration? { nil }
    var isAway: Bool { false }

    func send(_ calls: [NumberedCall], to results: CallResults) -> [LongConnection.CallID] {
        for call in calls {
            let now = Instant.now
            // The messages of one outage wait for its end together, and not one after another.
            let (servers, wait, isExpected) = shared.withLock { shared in
                let away = shared.awaySince.map { now - $0 } ?? .zero
                // One that is too long waits for WELCOME, which says so: sent, it would cost its connection.
                let isExpected = shared.hasAnswered && shared.awaySince == nil && call.bytes.count <= shared.longest
                return (shared.servers, max(.zero, shared.wait - away), isExpected)
            }
            var options = settings.options
            options.wait = wait
            ShortConnection.submit(
                call, hosts: servers, timeout: settings.timeout, mayRunTwice: settings.mayRunTwice, options: options,
                isExpected: isExpected, tellsTransfers: settings.isVerbose, to: results
            ) { self.happened($0, call.number) }
        }
        return calls.map { _ in 0 }
    }

    func abandon(_ call: LongConnection.CallID) {}

    /// Notes what happens to the connection of a message, on the I/O thread. What is to be printed goes to a task, for a
    /// terminal may block.
    private func happened(_ event: ConnectionEvent, _ number: Int) {
        switch event {
        case .connected(let terms): remember(terms)
        case .reconnecting: shared.withLock { $0.awaySince = $0.awaySince ?? .now }
        case .transfer(var progress):
            progress.number = number
            printed.yield(.transfer(progress))
        case .roundTrip, .beatLate, .pathTooLong: printed.yield(event)
        default: break
        }
    }

    /// Prints the last events.
    func finish() async {
        printed.finish()
        await printing.value
    }

    /// The next message begins with the server that answered, and waits for one that was there as a long connection does.
    private func remember(_ terms: ConnectionTerms) {
        shared.withLock { shared in
            if let index = shared.servers.firstIndex(of: terms.server), index > 0 {
                shared.servers = Array(shared.servers[index...] + shared.servers[..<index])
            }
            shared.hasAnswered = true
            shared.awaySince = nil
            shared.wait = max(shared.wait, settings.outageLimit)
            shared.longest = terms.maxMessage
        }
    }
}
