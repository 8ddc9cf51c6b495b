import Basics
import Framing
import Posix

/// A host, by name or address, and a port.
struct Endpoint: Hashable, Sendable {
    let host: String
    let port: UInt16
}

extension Endpoint {
    /// Reads `HOST`, `HOST:PORT`, `[IPv6]`, `[IPv6]:PORT` or `unix:PATH`. A bare IPv6 address has no port behind it.
    ///
    /// - Parameters:
    ///   - text: The server as a person writes it.
    ///   - port: The port where `text` has none.
    init(_ text: String, port: UInt16) throws(ConnectionError) {
        func wrong(_ what: String) -> ConnectionError {
            ConnectionError(.invalidOptions, "'\(text)' \(what); write HOST, HOST:PORT, [IPV6]:PORT or unix:PATH")
        }
        if text.hasPrefix("unix:") {
            guard SocketAddress(host: text, port: port) != nil else {
                throw ConnectionError(
                    .invalidOptions, "'\(text)' is no path of a Unix socket, which has from 1 to 107 bytes")
            }
            self.init(host: text, port: port)
            return
        }
        var host = text[...]
        var ending: Substring?
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else { throw wrong("has no ] behind its [") }
            host = text[text.index(after: text.startIndex)..<bracket]
            let rest = text[text.index(after: bracket)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw wrong("has more than a port behind its ]") }
            ending = rest.isEmpty ? nil : rest.dropFirst()
            // A name in brackets would be asked for at a name server.
            guard SocketAddress(host: String(host), port: port) != nil || host.contains("%"), host.contains(":") else {
                throw wrong("has no IPv6 address in its brackets")
            }
        } else if let colon = text.firstIndex(of: ":"), colon == text.lastIndex(of: ":") {
            host = text[..<colon]
            ending = text[text.index(after: colon)...]
        }
        guard !host.isEmpty else { throw wrong(text.isEmpty ? "names no server" : "has no host") }
        guard !host.contains(where: \.isWhitespace) else { throw wrong("has a blank in it") }
        guard let ending else {
            self.init(host: String(host), port: port)
            return
        }
        guard ending.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt16(ending), number > 0 else {
            throw wrong("has the port '\(ending)', which is no number from 1 to 65535")
        }
        self.init(host: String(host), port: number)
    }

    /// Reads each server of a list, which is not empty.
    static func list(_ texts: [String], port: UInt16) throws(ConnectionError) -> [Endpoint] {
        guard !texts.isEmpty else { throw ConnectionError(.invalidOptions, "the list of servers is empty") }
        var all: [Endpoint] = []
        for text in texts {
            let endpoint = try Endpoint(text, port: port)
            if !all.contains(endpoint) { all.append(endpoint) }
        }
        return all
    }
}

extension Endpoint: CustomStringConvertible {
    /// `db:7400`, `[::1]:7400` or `unix:/path`.
    var description: String { addressText(host: host, port: port) }
}

/// The servers of a list as a program writes them, each with its port. The package's commands check them by this.
package func serverNames(_ texts: [String], port: UInt16) throws(ConnectionError) -> [String] {
    try Endpoint.list(texts, port: port).map(\.description)
}

/// The addresses of `server`, in their order. It blocks while the name servers are asked.
package func addresses(ofServer server: String, port: UInt16) throws(ConnectionError) -> [SocketAddress] {
    let endpoint = try Endpoint(server, port: port)
    if let address = try endpoint.address { return [address] }
    return try resolve(endpoint).get()
}

extension Endpoint {
    /// The address where it needs no name server; nil for a name. Throws for a path that no Unix socket can have.
    var address: SocketAddress? {
        get throws(ConnectionError) {
            if let address = SocketAddress(host: host, port: port) { return address }
            guard !host.hasPrefix("unix:") else {
                throw ConnectionError(.unknownHost, "\(host) is no path of a Unix socket")
            }
            return nil
        }
    }
}
