/// The eight bytes that both sides send first (Protocol.md, section 3.2).
///
/// No length is read before they have matched. So a stray HTTP or TLS peer is recognised, and not misread as a frame of
/// a gigabyte.
public enum Preface {
    /// `LIFELINE` in ASCII.
    public static let bytes: [UInt8] = [0x4C, 0x49, 0x46, 0x45, 0x4C, 0x49, 0x4E, 0x45]

    /// Names the protocol that a peer's first bytes look like, for the log and for the text of CLOSE(BAD_PREFACE).
    static func recognise(_ bytes: [UInt8]) -> String {
        let methods = ["GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "]
        if methods.contains(where: { bytes.starts(with: $0.utf8) }) { return "an HTTP request" }
        if bytes.starts(with: "HTTP/".utf8) { return "an HTTP answer" }
        if bytes.starts(with: [0x16, 0x03]) { return "a TLS hello" }
        if bytes.starts(with: "SSH-".utf8) { return "an SSH greeting" }
        // The beginnings of both versions: a proxy sends one where it is set up to, and a server has to be, too.
        if bytes.starts(with: "PROXY ".utf8) || bytes.starts(with: [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A]) {
            return "a header of the PROXY protocol, which this port does not take"
        }
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return "the bytes " + hex.joined(separator: " ")
    }
}
