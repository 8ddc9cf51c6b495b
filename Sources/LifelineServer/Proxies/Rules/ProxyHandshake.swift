import Basics
import Framing
import ProxyProtocol

/// The beginning of a proxy's connection: its header is read, and the parent is asked whether the client that it names may
/// come in. Until that is known nothing of the client's own bytes is read.
///
/// The loop passes the bytes that have come, and does what the step says. The instants are those of the loop.
struct ProxyHandshake {
    /// What the loop does next.
    enum Step: Equatable {
        /// It waits, until `deadline` at the latest: for bytes, or for the parent where it `isAsking`.
        case wait
        /// It asks the parent whether this client may come in, and waits.
        case ask(ClientSource)
        /// It serves the connection. The bytes behind the header are the client's.
        case serve
        /// It ends the connection. No client has failed a handshake.
        case leave(Dismissal)
    }

    /// How a connection ends that was not served.
    enum Dismissal: Equatable {
        /// The proxy has looked whether a server is there: not a byte is sent.
        case probe
        /// The parent has refused the client, and has logged it.
        case refused(Close)
        case closed(Close)
        /// Nothing can be sent any more.
        case lost(String)
    }

    /// What the text of a connection that ends says behind what was wrong.
    private static let demand = "--proxy-from asks for a header of the PROXY protocol"

    /// When the client must have been let in.
    let deadline: Instant
    private var decoder = ProxyHeaderDecoder()
    /// Nil until it is whole.
    private(set) var header: ProxyHeader?
    private var hasBegun = false
    /// Whether the parent is asked: nothing is read meanwhile.
    private(set) var isAsking = false

    init(deadline: Instant) { self.deadline = deadline }

    /// Whether the header says that the proxy speaks for itself. What follows decides: nothing is a probe, and bytes are
    /// those of a client without a source.
    private var isLocal: Bool { header?.command == .local }

    /// These bytes have come, and lie unread. Returns how many of them are the header's.
    mutating func received(_ bytes: ArraySlice<UInt8>) -> (step: Step, taken: Int) {
        guard header == nil else { return (.serve, 0) }
        hasBegun = true
        do throws(ProxyHeaderError) {
            switch try decoder.take(bytes) {
            case .needsMore: return (.wait, bytes.count)
            case .whole(let header, let taken):
                self.header = header
                if isLocal { return (.wait, taken) }
                // A client without a source is judged by nothing, as one of a Unix socket is.
                guard let source = header.client else { return (.serve, taken) }
                isAsking = true
                return (.ask(source), taken)
            }
        } catch {
            return (close(.protocolError, "\(error.text); \(ProxyHandshake.demand)"), 0)
        }
    }

    /// The stream has ended, or the connection has broken, where the loop reads.
    func ended(_ broken: String? = nil) -> Step {
        if isLocal || !hasBegun { return .leave(.probe) }
        if let broken { return .leave(.lost(broken)) }
        return close(.protocolError, "the stream ended within the header; \(ProxyHandshake.demand)")
    }

    /// The parent has judged the client.
    func judged(_ verdict: ChildCommands.Verdict) -> Step {
        switch verdict {
        case .admitted: .serve
        case .refused(let reason, let retryAfter):
            .leave(.refused(Close(reason.code, reason.text, retryAfter: retryAfter)))
        }
    }

    /// The parent ends the connection; nil is a signal of somebody else, and means the same as `end`.
    ///
    /// - Parameters:
    ///   - command: What the parent says.
    ///   - retryAfter: When the client may return where the parent does not say, in milliseconds.
    func commanded(_ command: ChildCommands.ChildCommand?, retryAfter: UInt32) -> Step {
        switch command {
        case .kick: close(.kicked, CloseCause.kickText)
        case .sendAway(let milliseconds): close(.shuttingDown, ConnectionDriver.shutdownText, milliseconds)
        case .end, nil: close(.shuttingDown, ConnectionDriver.shutdownText, retryAfter)
        }
    }

    /// What is due at this instant.
    func resumed(at now: Instant) -> Step {
        guard now >= deadline else { return .wait }
        if isAsking { return close(.handshakeTimeout, "the server has not judged the client in time") }
        return close(.handshakeTimeout, "the header did not come in time; \(ProxyHandshake.demand)")
    }

    /// A proxy that speaks for itself is told nothing.
    private func close(_ code: Code, _ text: String, _ retryAfter: UInt32 = 0) -> Step {
        .leave(isLocal ? .probe : .closed(Close(code, text, retryAfter: retryAfter)))
    }
}
