import Basics
import Framing
import Posix

// Connections of back-ends, which publish. They come by a socket of their own, and over the control socket.
extension ConnectionAcceptor {
    /// How many back-ends may be connected at a time. They count beside the clients of `ServerOptions.maxConnections`.
    static var mostBackEnds: Int { 64 }

    /// Whether another back-end may connect.
    var mayServeBackEnd: Bool { registry.backEndCount < ConnectionAcceptor.mostBackEnds }

    /// Serves a back-end: no header of a proxy, no token, and no limit of clients holds for it.
    func serveBackEnd(_ accepted: consuming Accepted, at now: Instant) {
        let peer = accepted.peer
        guard mayServeBackEnd else {
            let refusal = admission.refuse(
                .backEnds, "\(ConnectionAcceptor.mostBackEnds) back-ends are connected", using: &random)
            report(refusal, of: peer, via: nil)
            return refused.add(accepted.connection, refusal.close, at: now)
        }
        serveBackEnd(accepted.connection, of: peer, at: now)
    }

    /// Serves a back-end that has connected to the control socket. The caller has made sure that it may, and closes its
    /// own copy of the socket.
    func serveBackEnd(handedOver socket: borrowing Descriptor, at now: Instant) {
        do throws(SystemError) {
            // The number of the caller's copy is one that each child closes.
            let connection = try socket.duplicated()
            let peer = socket.peerAddress
            serveBackEnd(connection, of: peer, at: now)
            if let shared = registry.shared { send(by: shared) }
        } catch {
            log.write(failure: .acceptFailed, error)
            _ = try? socket.send(admission.refuse(.descriptors, using: &random).close.refusal[...])
        }
    }

    private func serveBackEnd(_ connection: consuming Descriptor, of peer: SocketAddress, at now: Instant) {
        let assignment = ConnectionAssignment(
            connection: registry.connectionCount + 1, peer: peer, acceptedAt: now,
            handshakeTimeout: admission.backEndHandshakeTimeout, isBackEnd: true)
        serve(connection, assignment, at: now)
    }
}
