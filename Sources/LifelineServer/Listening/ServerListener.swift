import Inheritance
import Posix

/// A socket that the server accepts on.
final class ServerListener {
    let address: SocketAddress
    /// A supervisor has it too: clients queued on it wait for the next server, and its file stays.
    let isHandedOver: Bool
    let socketFile: SocketFile?
    /// It was to be all addresses of IPv6 too, which the kernel does not have.
    private(set) var lacksIPv6: Bool
    /// Nil once it is closed.
    @exclusivity(unchecked) private(set) var socket: ParentOwned<Descriptor>?
    /// Its own proxies, where it was given any; empty where it takes no header.
    private let ownProxies: [ProxySource]?
    /// The proxies that connect to it; nil where it takes no header.
    @exclusivity(unchecked) private(set) var proxies: ListenerProxies?

    private init(
        _ socket: consuming Descriptor, isHandedOver: Bool, lacksIPv6: Bool = false, proxies: [ProxySource]? = nil,
        in descriptors: ParentDescriptors
    ) {
        address = socket.localAddress
        ownProxies = proxies
        self.isHandedOver = isHandedOver
        self.lacksIPv6 = lacksIPv6
        socketFile = isHandedOver ? nil : address.unixPath.flatMap { SocketFile(at: $0) }
        self.socket = ParentOwned(socket, in: descriptors)
    }

    /// The number of its descriptor; -1 once it is closed, which poll(2) passes over.
    @inline(__always) var number: Int32 { socket?.resource.number ?? -1 }

    /// Closes the socket. Its file stays.
    func close() { socket = nil }

    /// Removes the file of a Unix socket, unless a supervisor has made it.
    func removeFile() {
        if let path = address.unixPath, !isHandedOver { Posix.removeFile(at: path) }
    }

    /// Takes over the sockets that LISTEN_FDS tells of, or listens where `options` say. A failure removes the files of
    /// those that are open already.
    ///
    /// - Parameters:
    ///   - options: Where to listen, unless a supervisor has done so.
    ///   - descriptors: Where the parent's descriptors are listed.
    static func all(_ options: ServerOptions, in descriptors: ParentDescriptors) throws(StartError) -> [ServerListener]
    {
        let listeners = try open(options, in: descriptors)
        do throws(StartError) {
            try listeners.check(options.proxyFrom)
        } catch {
            for listener in listeners { listener.removeFile() }
            throw error
        }
        for listener in listeners { listener.takeHeaders(from: options.proxyFrom) }
        return listeners
    }

    /// Listens where back-ends publish; nil where `options` name no place. The socket belongs to `owner` and its group,
    /// and nobody else may use it.
    static func ofBackEnds(
        _ options: ServerOptions, owner: Account?, in descriptors: ParentDescriptors
    ) throws(StartError) -> ServerListener? {
        guard let path = options.publishSocket else { return nil }
        guard let address = SocketAddress(host: "unix:\(path)", port: 0) else {
            throw StartError(
                .badOptions, "--publish-socket '\(path)' is not the path of a Unix socket: 1 to 107 bytes")
        }
        let socket = try listen(on: address, backlog: backlogOfBackEnds, access: .group)
        let listener = ServerListener(socket, isHandedOver: false, in: descriptors)
        do throws(StartError) { try owner?.take(path) } catch {
            listener.removeFile()
            throw error
        }
        return listener
    }

    private static let backlogOfBackEnds: Int32 = 64

    private static func open(
        _ options: ServerOptions, in descriptors: ParentDescriptors
    ) throws(StartError) -> [ServerListener] {
        let count = ServiceEnvironment.listeners(
            count: takeEnvironmentVariable("LISTEN_FDS"), pid: takeEnvironmentVariable("LISTEN_PID"), own: processID)
        let names = takeEnvironmentVariable("LISTEN_FDNAMES")?.split(separator: ":", omittingEmptySubsequences: false)
        if count > 0 {
            if let ready = options.readyDescriptor, ready >= first, ready - first < count {
                throw StartError(
                    .badOptions,
                    "--ready-fd \(ready) is a socket that LISTEN_FDS=\(count) hands over: name another descriptor")
            }
            return try takeOver(count, names: names ?? [], in: descriptors)
        }
        var listeners: [ServerListener] = []
        let wanted = options.listenAddresses
        var isLacking = false
        do throws(StartError) {
            for each in wanted {
                let wished = try address(each)
                // A wildcard takes IPv4 too, unless another one of ours does that.
                let isIPv6Only =
                    each.port != 0 && wanted.contains { $0 != each && $0.port == each.port && isIPv4($0) }
                let withoutIPv6 = wished.withoutIPv6
                if withoutIPv6 != nil, isIPv6Only {
                    isLacking = true
                    continue
                }
                let socket = try listen(on: withoutIPv6 ?? wished, backlog: options.backlog, isIPv6Only: isIPv6Only)
                listeners.append(
                    ServerListener(
                        socket, isHandedOver: false, lacksIPv6: withoutIPv6 != nil, proxies: each.proxies,
                        in: descriptors))
            }
        } catch {
            for listener in listeners { listener.removeFile() }
            throw error
        }
        if isLacking { listeners.first?.lacksIPv6 = true }
        return listeners
    }

    private static func isIPv4(_ wanted: ListenAddress) -> Bool {
        SocketAddress(listenHost: wanted.host, port: wanted.port).map { !$0.isUnix && !$0.isIPv6 } ?? false
    }

    /// From now on it takes headers of these proxies, unless it has proxies of its own.
    func takeHeaders(from sources: [ProxySource]) {
        proxies = ListenerProxies(ownProxies ?? sources, isUnix: address.isUnix)
    }

    /// Whether a proxy that is meant for all listeners can be one of this.
    fileprivate func takesHeaders(from source: ProxySource) -> Bool {
        ownProxies == nil && ListenerProxies([source], isUnix: address.isUnix) != nil
    }

    // MARK: Sockets of a supervisor

    /// The first descriptor that is handed over (SD_LISTEN_FDS_START in sd_listen_fds(3)).
    private static let first: Int32 = 3

    private static func takeOver(
        _ count: Int, names: [Substring], in descriptors: ParentDescriptors
    ) throws(StartError) -> [ServerListener] {
        var listeners: [ServerListener] = []
        for index in 0..<min(count, Int(Int32.max - first)) {
            let number = first + Int32(index)
            guard Descriptor.isOpen(number), Descriptor.isListeningStream(number) else {
                let name = index < names.count && !names[index].isEmpty ? " (\(names[index]))" : ""
                throw StartError(
                    .badOptions,
                    "LISTEN_FDS=\(count) hands over descriptor \(number)\(name), which is no TCP or Unix stream socket "
                        + "that listens: use ListenStream= and Accept=no")
            }
            ProcessStart.claim(number)
            let socket = Descriptor(owning: number)
            socket.prepareHandedOverListener()
            listeners.append(ServerListener(socket, isHandedOver: true, in: descriptors))
        }
        return listeners
    }

    // MARK: Sockets of our own

    private static func address(_ wanted: ListenAddress) throws(StartError) -> SocketAddress {
        if let address = SocketAddress(listenHost: wanted.host, port: wanted.port) { return address }
        if let both = try? ListenAddress(wanted.host), SocketAddress(listenHost: both.host, port: both.port) != nil {
            throw StartError(
                .badOptions,
                "'\(wanted.host)' is an address and a port: say --listen \(wanted.host), or --host \(both.host) "
                    + "--port \(both.port)")
        }
        if wanted.host.contains("/"), !wanted.host.contains(":") {
            throw StartError(
                .badOptions, "'\(wanted.host)' is a path: did you mean \(ListenAddress.unixPrefix)\(wanted.host)?")
        }
        throw StartError(
            .badOptions,
            "'\(wanted.host)' is not an address to listen on: expected a numeric IPv4 or IPv6 address such as 127.0.0.1 "
                + "or ::, localhost, * for all, or unix:/path (other names are not resolved)")
    }

    /// Listens at `address`; throws why that cannot be.
    ///
    /// - Parameters:
    ///   - address: Where.
    ///   - backlog: How many connections may wait to be accepted.
    ///   - access: Who may connect to the file of a Unix socket.
    ///   - isIPv6Only: An IPv6 wildcard does not take IPv4.
    static func listen(
        on address: SocketAddress, backlog: Int32, access: SocketAccess = .byMask, isIPv6Only: Bool = false
    ) throws(StartError) -> Descriptor {
        do throws(SystemError) {
            return try replacing(address) { () throws(SystemError) in
                try .listening(at: address, backlog: backlog, access: access, isIPv6Only: isIPv6Only)
            }
        } catch {
            throw StartError(.cannotListen, "cannot listen on \(address): \(error.text) (\(error.call))", cause: error)
        }
    }

    /// The file of a Unix socket outlives a server that was killed. One without a listener is replaced.
    private static func replacing(
        _ address: SocketAddress, _ listen: () throws(SystemError) -> Descriptor
    ) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try listen()
        } catch {
            guard let path = address.unixPath, error.isAddressInUse, isAbandonedSocket(at: address) else { throw error }
            Posix.removeFile(at: path)
            return try listen()
        }
    }
}

extension [ServerListener] {
    /// Throws where one of these proxies, meant for all listeners, can connect to none.
    func check(_ sources: [ProxySource]) throws(StartError) {
        for source in sources {
            let fits = contains { $0.takesHeaders(from: source) }
            if !fits { throw StartError(.badOptions, source.fitsNoListener) }
        }
    }

    /// Where they listen, for people: `127.0.0.1:7400, unix:/run/lifeline.socket`.
    var text: String { map(\.address.description).joined(separator: ", ") }
}

extension ServerOptions {
    /// Where the server listens, unless a supervisor hands sockets over.
    package var listenAddresses: [ListenAddress] {
        (listensAtHost || listen.isEmpty ? [ListenAddress(host: host, port: port)] : []) + listen
    }
}
