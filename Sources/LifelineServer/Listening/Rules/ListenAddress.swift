import Basics

/// One of the addresses that a server listens on, as an operator writes it: a host and a port, or `unix:` and a path, and
/// what the listener takes.
public struct ListenAddress: Hashable, Sendable {
    /// As `ServerOptions.host` has it.
    public let host: String
    /// 0 lets the system choose. A Unix socket has none.
    public let port: UInt16
    /// The proxies of this listener. Nil is what `ServerOptions.proxyFrom` says; with none the listener takes no header.
    public let proxies: [ProxySource]?

    /// Reads `127.0.0.1:7400`, `[::1]:7400` or `unix:/path`. Behind it may stand `,direct`, or `,proxy-from=` and a range,
    /// several times. Throws what is wrong, with what is expected.
    public init(_ whole: String) throws(StartError) {
        let (text, words) = ListenAddress.takeApart(whole)
        func wrong(_ what: String) -> StartError {
            StartError(
                .badOptions,
                "'\(text)' \(what): expected an address and a port, such as 127.0.0.1:7400 or [::]:7400, or unix:/path")
        }
        if text.hasPrefix(ListenAddress.unixPrefix) {
            guard text != ListenAddress.unixPrefix else { throw wrong("has no path") }
            host = text
            port = 0
            proxies = try ListenAddress.proxies(words, isUnix: true, in: whole)
            return
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw wrong("has no port") }
        let host = text[..<colon]
        let ending = text[text.index(after: colon)...]
        guard !host.isEmpty else { throw wrong("has no address") }
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { throw wrong("has no ] behind its address") }
        } else if host.contains(":") {
            throw wrong("is an IPv6 address without [ and ]")
        }
        guard ending.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(ending) else {
            throw wrong("has the port '\(ending)', which is no number from 0 to 65535")
        }
        self.host = String(host)
        self.port = port
        proxies = try ListenAddress.proxies(words, isUnix: false, in: whole)
    }

    /// `host` as `ServerOptions.host` has it, `port`, and the listener's own proxies.
    public init(host: String, port: UInt16, proxies: [ProxySource]? = nil) {
        self.host = host
        self.port = host.hasPrefix(ListenAddress.unixPrefix) ? 0 : port
        self.proxies = proxies
    }

    private static let directWord = "direct"
    private static let proxyWord = "proxy-from="

    /// The address, and the words behind it. A path may have commas, so it ends where words begin that are known.
    private static func takeApart(_ whole: String) -> (text: String, words: [Substring]) {
        var parts = whole.split(separator: ",", omittingEmptySubsequences: false)
        guard whole.hasPrefix(unixPrefix) else { return (String(parts[0]), Array(parts.dropFirst())) }
        var words: [Substring] = []
        while parts.count > 1, let last = parts.last, last == directWord || last.hasPrefix(proxyWord) {
            words.insert(parts.removeLast(), at: 0)
        }
        return (parts.joined(separator: ","), words)
    }

    private static func proxies(
        _ words: [Substring], isUnix: Bool, in whole: String
    ) throws(StartError) -> [ProxySource]? {
        func wrong(_ what: String) -> StartError { StartError(.badOptions, "'\(whole)' \(what)") }
        var proxies: [ProxySource]?
        for word in words {
            if word == directWord {
                guard words.count == 1 else { throw wrong("is direct, and has something else beside it") }
                return []
            }
            guard word.hasPrefix(proxyWord) else {
                throw wrong("has '\(word)' behind its address: expected direct, or proxy-from=RANGE")
            }
            do throws(AddressRangeError) {
                proxies = (proxies ?? []) + [try ProxySource(String(word.dropFirst(proxyWord.count)))]
            } catch {
                throw wrong("has a proxy-from that is wrong: \(error.description)")
            }
        }
        if let wrongOne = proxies?.first(where: { ($0 == .unix) != isUnix }) {
            throw wrong(
                "has proxy-from=\(wrongOne), and none of those can connect to it: "
                    + (isUnix ? "a Unix socket takes proxy-from=unix" : "a TCP socket takes a range of addresses"))
        }
        return proxies
    }

    package static let unixPrefix = "unix:"

    /// The text that reads as this address.
    public var text: String {
        let words = proxies.map {
            $0.isEmpty ? [ListenAddress.directWord] : $0.map { ListenAddress.proxyWord + "\($0)" }
        }
        return ([addressText(host: host, port: port)] + (words ?? [])).joined(separator: ",")
    }

    /// The proxies that connect to it, where these are those of all listeners; nil where none can.
    package func proxies(_ sources: [ProxySource]) -> [ProxySource]? {
        let isUnix = host.hasPrefix(ListenAddress.unixPrefix)
        let own = (proxies ?? sources).filter { ($0 == .unix) == isUnix }
        return own.isEmpty ? nil : own
    }
}
