import Basics
import Posix
import SystemTLS

/// Connects to the first address of an endpoint that answers ("happy eyeballs", RFC 8305).
///
/// It tries the addresses in their order. The next attempt begins when the one before has failed, or has not succeeded
/// for 250 ms. Handshakes are not made beside each other: a request may be in the first bytes of a short connection, and
/// each handshake costs its server a process. So the first socket that connects stops the other attempts, and `next`
/// goes on with their addresses where its handshake fails.
final class Dialer {
    /// The head start of each attempt (Connection Attempt Delay in RFC 8305, section 5).
    private static let headStart = Duration.milliseconds(250)

    private unowned let driver: SessionDriver
    private let loop: EventLoop
    private let endpoint: Endpoint
    private let tls: TLSClient?
    private var untried: ArraySlice<SocketAddress> = []
    private var attempts: [(socket: Socket, address: SocketAddress)] = []
    /// The address whose handshake goes on.
    private var connected: SocketAddress?
    private var isLookingUp = false
    private var lastError: ConnectionError?
    /// The instant at which the next attempt begins although the last one has not failed.
    private(set) var deadline: Instant?

    init(to endpoint: Endpoint, with tls: TLSClient?, for driver: SessionDriver, loop: EventLoop) {
        self.endpoint = endpoint
        self.tls = tls
        self.driver = driver
        self.loop = loop
    }

    /// The outcome of all attempts so far.
    enum Outcome {
        case pending
        /// `others` is the number of addresses that are left for `next`.
        case connected(Socket, address: SocketAddress, others: Int)
        case failed(ConnectionError)
    }

    /// Begins with the address itself, or looks up the name.
    func start(at now: Instant) -> Outcome {
        do throws(ConnectionError) {
            if let address = try endpoint.address {
                untried = [address]
                return tryNext(at: now)
            }
        } catch {
            return .failed(error)
        }
        isLookingUp = true
        if let error = loop.lookUp(endpoint, for: driver) { return .failed(error) }
        return .pending
    }

    /// Handles the addresses of the name.
    func resolved(_ result: Result<[SocketAddress], ConnectionError>, at now: Instant) -> Outcome {
        guard isLookingUp else { return .pending }
        isLookingUp = false
        switch result {
        case .failure(let error): return .failed(error)
        case .success(let addresses):
            untried = loop.ordered(addresses, at: now)[...]
            return tryNext(at: now)
        }
    }

    /// Begins the next attempt where `deadline` has passed.
    func timerFired(at now: Instant) -> Outcome {
        guard let deadline, deadline <= now else { return .pending }
        return tryNext(at: now)
    }

    /// Handles an event of the socket with `key`: its attempt has succeeded or failed.
    func ready(_ key: UInt64, at now: Instant) -> Outcome {
        guard let index = attempts.firstIndex(where: { $0.socket.key == key }) else { return .pending }
        let (socket, address) = attempts.remove(at: index)
        do throws(TransportError) {
            try socket.checkConnected(to: address)
            let others = attempts.map(\.address) + untried
            stop()
            untried = others[...]
            connected = address
            return .connected(socket, address: address, others: others.count)
        } catch {
            loop.unwatch(socket)
            note(error.text, at: address)
            return tryNext(at: now)
        }
    }

    /// Goes on with the next address: the handshake with the one before has failed.
    func next(at now: Instant) -> Outcome {
        if let connected { loop.avoid(connected, at: now) }
        connected = nil
        return tryNext(at: now)
    }

    /// Cancels all attempts.
    func stop() {
        for attempt in attempts { loop.unwatch(attempt.socket) }
        attempts = []
        untried = []
        isLookingUp = false
        deadline = nil
    }

    private func tryNext(at now: Instant) -> Outcome {
        deadline = nil
        while let address = untried.popFirst() {
            do throws(TransportError) {
                let socket = try begin(address)
                attempts.append((socket, address))
                deadline = untried.isEmpty ? nil : now + Dialer.headStart
                return .pending
            } catch {
                note(error.text, at: address)
            }
        }
        guard attempts.isEmpty, let lastError else { return .pending }
        return .failed(lastError)
    }

    private func begin(_ address: SocketAddress) throws(TransportError) -> Socket {
        let engine: TLSEngine?
        do throws(TLSError) { engine = try tls?.engine(for: endpoint) } catch { throw .tls(error) }
        do throws(SystemError) {
            let socket = try Descriptor.connecting(to: address)
            guard let engine else { return try loop.watch(.plain(socket), for: driver, writing: true) }
            return try loop.watch(.tls(TLSSocket(socket, engine)), for: driver, writing: true)
        } catch {
            throw .system(error)
        }
    }

    private func note(_ text: String, at address: SocketAddress) {
        lastError = ConnectionError(.unreachable, "\(address): \(text)")
    }
}
