/// Why bytes are no header of the PROXY protocol.
package struct ProxyHeaderError: Error, Equatable, Sendable {
    /// For people: what was wrong and what was expected.
    package let text: String

    init(_ text: String) { self.text = text }

    /// The bytes of a stream whose first ones cannot begin a header. Most often a client has come to the port without its
    /// proxy, so the text names what the bytes look like.
    init(noHeader bytes: [UInt8]) {
        text =
            "a header of the PROXY protocol was expected (PROXY, or the signature of version 2), and not "
            + ProxyHeaderError.recognise(bytes)
    }

    private static func recognise(_ bytes: [UInt8]) -> String {
        let methods = ["GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI "]
        if bytes.starts(with: "LIFELINE".utf8) {
            return "\"LIFELINE\": this client, or its proxy, speaks Lifeline at once"
        }
        if let method = methods.first(where: { bytes.starts(with: $0.utf8) }) {
            return "\"\(method)\": this is an HTTP request"
        }
        if bytes.starts(with: "HTTP/".utf8) { return "\"HTTP/\": this is an HTTP answer" }
        if bytes.starts(with: "SSH-".utf8) { return "\"SSH-\": this is an SSH greeting" }
        if bytes.starts(with: [0x16, 0x03]) {
            return "a TLS hello: this client has come without the proxy that ends TLS, or that proxy passes TLS on"
        }
        return quoted(bytes.prefix(16))
    }

    /// Bytes as they can stand in a text: printable ASCII as it is, all others in hexadecimal.
    static func quoted(_ bytes: some Collection<UInt8>) -> String {
        guard !bytes.isEmpty, bytes.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 }) else {
            return bytes.isEmpty ? "nothing" : "the bytes " + bytes.map(hexadecimal).joined(separator: " ")
        }
        return "\"" + String(decoding: bytes, as: UTF8.self) + "\""
    }

    static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}
