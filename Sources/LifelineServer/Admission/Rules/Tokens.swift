import Basics
import Framing

/// The tokens of a token file, each with the name that it stands for. A client must bring one of them (Protocol.md,
/// section 4.12).
///
///     # till 7, since May
///     JBSWY3DPEHPK3PXP alice
///     a-token-without-a-name
///
/// A line holds a token, of 1 to 256 bytes without blanks, and may hold a name behind it. `TextFile` says which lines say
/// nothing.
struct Tokens: Sendable {
    /// The words of a token: it is filled up with zeros, and one more word holds its length.
    private static let width = Limits.tokenLength / 8 + 1

    /// Every token, `width` words each: all that is compared with is of one length.
    private var words: [UInt64] = []
    /// The name of each token; nil where it has none.
    private var names: [String?] = []

    var count: Int { names.count }

    /// Reads the contents of a token file.
    init(parsing bytes: [UInt8]) throws(TextFileError) { try self.init(TextFile(bytes)) }

    /// Reads the lines of a token file.
    init(_ file: TextFile) throws(TextFileError) {
        var lines: [[UInt8]: Int] = [:]
        for line in file.lines {
            let parts = try TokenLine(line)
            let token = Array(parts.token)
            func error(_ text: String) -> TextFileError { TextFileError(line: line.number, text) }
            if let first = lines.updateValue(line.number, forKey: token) {
                throw error("the same token as in line \(first); each may stand there once")
            }
            var name: String?
            if let bytes = parts.name {
                guard let text = String(validating: bytes, as: UTF8.self), bytes.count <= Limits.nameLength else {
                    throw error("a name that is not UTF-8 of at most \(Limits.nameLength) bytes")
                }
                name = text
            }
            words += Tokens.padded(token)
            names.append(name)
        }
        // A file that is about to be written is empty first, and it never means that no client may connect.
        guard !names.isEmpty else { throw TextFileError("there is no token in it") }
    }

    private static func padded(_ token: [UInt8]) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: width)
        for (index, byte) in token.enumerated() { words[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8) }
        words[width - 1] = UInt64(token.count)
        return words
    }

    /// The name of the TOKEN of a HELLO; nil where it has none. Throws CLOSE(UNAUTHORIZED) where the token is not
    /// accepted (4.12-8).
    ///
    /// How long it takes depends on how many tokens there are, and on nothing else: every word of every token is
    /// compared, whatever has been found (11-1).
    func name(of token: [UInt8]?) throws(Violation) -> String? {
        guard let token else { throw Violation(.unauthorized, "a TOKEN is asked for, and HELLO has none") }
        let asked = Tokens.padded(token)
        var found = 0  // Counted from 1, so that the first can be told from none.
        for index in 0..<count {
            var difference: UInt64 = 0
            for word in 0..<Tokens.width { difference |= words[index * Tokens.width + word] ^ asked[word] }
            // All ones where nothing differs: of a number and its negative, one has the highest bit unless both are 0.
            let mask = ((difference | (0 &- difference)) >> 63) &- 1
            found |= (index + 1) & Int(truncatingIfNeeded: mask)
        }
        guard found > 0 else { throw Violation(.unauthorized, "this TOKEN is not accepted") }
        return names[found - 1]
    }

    /// The name of a client; nil where it has none. A TOKEN is judged by `tokens`, where there are any. A client without one
    /// may have a certificate in its place.
    ///
    /// - Parameters:
    ///   - token: The TOKEN of its HELLO.
    ///   - tokens: Which are accepted; nil where none is asked for.
    ///   - provedName: The proved name of its certificate, if it has one; nil where none stands for a token.
    @inline(__always)
    static func name(
        of token: [UInt8]?, in tokens: Tokens?, _ provedName: String??
    ) throws(Violation) -> String? {
        guard let provedName, token == nil || tokens == nil else { return try tokens?.name(of: token) }
        if let provedName { return provedName }
        throw Violation(
            .unauthorized,
            (tokens == nil ? "" : "a TOKEN or ") + "a client certificate is asked for, which a proxy has verified")
    }
}
