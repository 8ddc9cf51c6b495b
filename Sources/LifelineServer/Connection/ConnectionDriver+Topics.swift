import Basics
import Framing
import Posix

// What the router says to the connection.
extension ConnectionDriver {
    /// The tokens of requests that the router asks for another process. Those of the handler count from 1.
    private static let askBit: UInt64 = 1 << 63

    /// The connection has opened: it can use the router, and others can reach it if it is a client's and no SHORT one.
    mutating func enterRouter(_ hello: Hello, at now: Instant) {
        guard let tie else { return }
        usesRouter = true
        tie.attach(at: now)
        guard !hello.short, !isBackEnd else { return }
        tie.register(
            Member(
                connection: id, name: hello.options.name, tokenName: connection.tokenName, peer: peer.description),
            place: place)
    }

    // It changes nothing; but where it could not, the whole driver would be copied for the call.
    /// Others reach it no more. Its handler still may say something.
    mutating func becomeUnreachable() { tie?.unregister(id) }

    /// Nothing of it needs the router any more.
    mutating func leaveRouter() {
        guard usesRouter else { return }
        usesRouter = false
        tie?.unregister(id)
        tie?.detach()
    }

    /// Does what the router says.
    mutating func deliver(_ delivery: LocalDelivery, at now: Instant) {
        switch delivery {
        case .publication(let publication): connection.deliver(publication, to: runner.hearing, at: now)
        case .gap(let gap): connection.missed(gap, runner.hearing)
        case .ask(let ask, let bytes, let timeout):
            connection.ask(ask | ConnectionDriver.askBit, bytes, until: now + timeout, at: now)
        case .giveUp(let ask): connection.giveUp(ask | ConnectionDriver.askBit, at: now)
        case .end(let text): connection.kick(text.isEmpty ? CloseCause.kickText : text, at: now)
        }
    }

    /// A request of the server has its outcome. False where the runner has asked it.
    mutating func relay(_ outcome: ServerRequests.AskOutcome, of token: UInt64) -> Bool {
        guard token & ConnectionDriver.askBit != 0 else { return false }
        tie?.answered(token & ~ConnectionDriver.askBit, RelayedOutcome(outcome))
        return true
    }
}

extension RelayedOutcome {
    fileprivate init(_ outcome: ServerRequests.AskOutcome) {
        self =
            switch outcome {
            case .success(let bytes): .answer(bytes[...])
            case .failure(.failed(let failure)): .failed(failure)
            case .failure(.notSent(let reason)): .notSent("\(reason)")
            case .failure(.refused(let reason)): .refused("\(reason)")
            case .failure(.unknown(let reason)): .unknown("\(reason)")
            }
    }
}
