import Framing
import Liveness
import Posix

/// A few connections that the parent serves itself, with nobody behind them, before it forks its first child.
///
/// Swift's runtime makes the metadata of generic types, and all that is `static let` or lazy, when it is used for the
/// first time. In a child that would be some hundred microseconds and a private copy of each page that it writes, for
/// every connection anew. What the parent has used before it forks is there in all children, and shared.
struct Rehearsal {
    private var options: ServerOptions
    private let log: Log
    private let orders: Orders.Own

    init(_ options: ServerOptions, log: Log, orders: Orders.Own) {
        self.options = options
        // Whoever comes too late to play their part is not waited for.
        self.options.timeout = .milliseconds(100)
        self.options.grace = .zero
        self.log = Log(muting: log)
        self.orders = orders
    }

    /// Needs a slot for a moment. What the system refuses here it will refuse, and say, where it matters.
    func run(in slots: inout Slots) {
        let slot = slots.take()
        for short in [false, true] { try? serve(short: short, slots[slot]) }
        LastWords.forget()
        slots.giveBack(slot)
    }

    private func serve(short: Bool, _ slot: Slots.Slot) throws(SystemError) {
        guard let peer = SocketAddress(host: "127.0.0.1", port: 1) else { return }
        let pair = try SocketPair()
        _ = try pair.other.send(conversation(short: short)[...])
        pair.other.shutdownWriting()
        var child = Child(
            pair.one, peer: peer, id: 0, acceptedAt: .now, service: options.service,
            handshakeTimeout: options.handshakeTimeout, tokens: nil, log: log, slot: slot, orders: orders, title: nil,
            worker: LoopWorker(Rehearsed()) { hello, tokenName, desk in
                Connection(
                    id: 0, peer: peer.description, options: hello.options, tokenName: tokenName, desk: desk)
            }, signals: Held(try SignalDescriptor([])))
        _ = child.run()
    }

    /// All that a client says, in one piece.
    private func conversation(short: Bool) -> [UInt8] {
        var client = Outbox()
        client.greet(Hello(short: short))
        client.setMaxFrame(Limits.defaultMaxFrame)
        client.send(.request, id: 1, [0], cost: 1)
        if !short {
            client.ping(1)
            client.send(.message, [0], cost: 1)
            client.close(Close(.normal))
        }
        return Array(client.unsent)
    }
}

/// The same bytes back.
private struct Rehearsed: Handler {
    let answersAtOnce = true

    func respond(to request: Request) -> Response { Response(request.bytes) }
}
