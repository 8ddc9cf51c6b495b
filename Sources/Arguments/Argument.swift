/// An argument of a command, with the bytes that were typed (execve(2)). They need not be UTF-8.
public struct Argument: Equatable, Sendable {
    /// All of them, without the zero behind them.
    public let bytes: [UInt8]

    /// An argument with these bytes.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// An argument that is text.
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// The arguments that this process was started with, without its own name.
    public static var own: [Argument] {
        (0..<Int(CommandLine.argc)).dropFirst().compactMap { index in
            guard let start = CommandLine.unsafeArgv[index] else { return nil }
            var bytes: [UInt8] = []
            var next = start
            while next.pointee != 0 {
                bytes.append(UInt8(bitPattern: next.pointee))
                next += 1
            }
            return Argument(bytes)
        }
    }

    /// The same where each of them is text. Throws where one is not.
    public static func ownTexts() throws(UsageError) -> [String] {
        var texts: [String] = []
        for argument in own { texts.append(try argument.text()) }
        return texts
    }

    /// The bytes as text. Throws where they are not UTF-8: other bytes would be used than those that were typed.
    public func text() throws(UsageError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw UsageError("'\(shown)' is not UTF-8, which every argument is here")
        }
        return text
    }

    /// For people: printable ASCII as it is, and `\xe9` for any other byte.
    private var shown: String {
        bytes.reduce(into: "") { text, byte in
            if (0x20..<0x7F).contains(byte) {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            }
        }
    }
}
