import RawWire

/// Headers of the PROXY protocol, written by hand.
enum ProxyBytes {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Of a health check.
    static let local = signature + [0x20, 0, 0, 0]
    /// The same with addresses that mean nothing, as some balancers send it.
    static let longLocal = signature + [0x20, 0x11, 0, 12] + [UInt8](repeating: 9, count: 12)

    /// Version 1, of a client that has connected to 192.0.2.1, port 443.
    static func v1(_ source: String, _ port: UInt16 = 40000) -> [UInt8] {
        Array("PROXY TCP4 \(source) 192.0.2.1 \(port) 443\r\n".utf8)
    }

    /// Version 2, of such a client.
    static func v2(_ source: String, _ port: UInt16 = 40000, _ tlvs: [UInt8] = []) -> [UInt8] {
        let bytes = source.split(separator: ".").map { UInt8($0)! }
        let addresses = bytes + [192, 0, 2, 1] + big(port) + big(443)
        return signature + [0x21, 0x11] + big(UInt16(addresses.count + tlvs.count)) + addresses + tlvs
    }

    static func tlv(_ type: UInt8, _ value: [UInt8]) -> [UInt8] { [type] + big(UInt16(value.count)) + value }
    static func tlv(_ type: UInt8, _ value: String) -> [UInt8] { tlv(type, Array(value.utf8)) }

    /// A client's TLS. Bits 2 and 4 of `client` say that it has shown a certificate, and a `verify` of 0 that it was found good.
    static func tls(name: String?, client: UInt8 = 7, verify: UInt8 = 0) -> [UInt8] {
        let parts =
            tlv(0x21, "TLSv1.3") + tlv(0x23, "TLS_AES_256_GCM_SHA384") + (name.map { tlv(0x22, $0) } ?? [])
        return tlv(0x20, [client, 0, 0, 0, verify] + parts)
    }

    private static func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
}

extension ServerProcess {
    /// A connection through a proxy that has said `header` and nothing else.
    func proxied(_ header: [UInt8]) throws -> RawPeer {
        let peer = try connect()
        try peer.send(header)
        return peer
    }

    /// The same of a client that has said HELLO and got WELCOME.
    @discardableResult
    func openProxied(_ header: [UInt8], _ hello: RawFrame = .hello()) throws -> RawPeer {
        let peer = try proxied(header + RawFrame.preface + hello.bytes)
        try peer.takePreface()
        _ = try peer.take(.welcome)
        return peer
    }

    /// What a client gets that is refused, or whose proxy has said something wrong.
    func refusalProxied(_ header: [UInt8], _ hello: RawFrame = .hello()) throws -> Notice {
        let peer = try proxied(header + RawFrame.preface + hello.bytes)
        try peer.takePreface()
        let notice = try peer.takeClose()
        peer.close()
        return notice
    }
}
